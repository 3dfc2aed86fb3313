/** The log of one service from its last line to its first, across rotations, within limits. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { logFiles } from "./files.ts";

export interface Limits {
  readonly bytes: number;
  /** Milliseconds. */
  readonly time: number;
}

/** So much is read at once. */
const BLOCK = 1 << 20;
/** What is not ended after so much is no line of ours. */
const LINE_MAX = 1 << 20;
const NEWLINE = 10;

/** Told of a line; false when no more are wanted. */
export type LineBefore = (bytes: Buffer, from: number, to: number) => boolean;

/**
 * Gives the lines in the log `directory` to `line`, the last first, until it has enough. False when a
 * limit ended it before. Throws when the directory or a file cannot be read.
 */
export function linesBackwards(directory: string, limits: Limits, line: LineBefore): boolean {
  const end = performance.now() + limits.time;
  let left = limits.bytes;
  for (const name of logFiles(directory).reverse()) {
    for (const { bytes, from } of blocksBackwards(`${directory}/${name}`)) {
      if (!blockBackwards(bytes, from, line)) return true;
      left -= BLOCK;
      if (left <= 0 || performance.now() > end) return false;
    }
  }
  return true;
}

/** The blocks of a file from its end, each with where its first whole line begins. */
function* blocksBackwards(path: string): Generator<{ bytes: Buffer; from: number }> {
  const fd = openOrNull(path);
  if (fd === null) return;
  try {
    // What was read last of a line that begins before it.
    let rest: Buffer = Buffer.alloc(0);
    for (let position = fstatSync(fd).size; position > 0; ) {
      const start = Math.max(0, position - BLOCK);
      const block = Buffer.allocUnsafe(position - start);
      if (readSync(fd, block, 0, block.length, start) < block.length) return;
      position = start;
      const bytes = Buffer.concat([block, rest]);
      const from = start === 0 ? 0 : block.indexOf(NEWLINE) + 1;
      const whole = from > 0 || start === 0;
      rest = whole || bytes.length <= LINE_MAX ? bytes.subarray(0, whole ? from : undefined) : rest;
      if (whole) yield { bytes, from };
    }
  } finally {
    closeSync(fd);
  }
}

/** The lines of `bytes` from `first` on, the last first; false when `line` has enough. */
function blockBackwards(bytes: Buffer, first: number, line: LineBefore): boolean {
  for (let end = bytes.length; end > first; ) {
    const to = bytes[end - 1] === NEWLINE ? end - 1 : end;
    const from = to === first ? first : Math.max(first, bytes.lastIndexOf(NEWLINE, to - 1) + 1);
    if (to > from && !line(bytes, from, to)) return false;
    end = from;
  }
  return true;
}

/** Null when it has been rotated away meanwhile. */
function openOrNull(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
