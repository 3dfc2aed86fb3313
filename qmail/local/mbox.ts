/** Delivery to an mbox (mbox(5)): under a lock, From_ quoted, cut back to where it was when it fails. */

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { LockBusyError, lockWaiting } from "../files/lock.ts";
import type { Message } from "../spawn/message.ts";
import { type DeliveryFailure, systemText, temporary } from "./failure.ts";

const synced = promisify(fsync);

const LOCK_SECONDS = 30;

/** Appends `message` to the mbox `path`. `head` is the From_ line and what follows it. Throws DeliveryFailure. */
export async function deliverMbox(
  path: string,
  { head, message }: { head: string; message: Message },
): Promise<void> {
  let fd: number;
  try {
    fd = openSync(path, "a", 0o600);
  } catch (error) {
    throw unopened(path, error);
  }
  try {
    await lock(fd);
    await append(fd, path, { head, message });
  } finally {
    closeSync(fd);
  }
}

function unopened(path: string, error: unknown): DeliveryFailure {
  return temporary(`Unable to open ${path}: ${systemText(error)}. (#4.2.1)\n`);
}

/** Why nobody as whom this process runs can append to `path`; null when nothing is in the way. */
export function mboxTrouble(path: string): DeliveryFailure | null {
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there) accessSync(path, constants.W_OK);
    else accessSync(dirname(path), constants.W_OK | constants.X_OK);
    // Only opening it says what the system makes of a directory, or a device without a driver.
    if (there?.isDirectory()) closeSync(openSync(path, "a"));
    return null;
  } catch (error) {
    return unopened(path, error);
  }
}

async function lock(fd: number): Promise<void> {
  try {
    await lockWaiting(fd, LOCK_SECONDS);
  } catch (error) {
    if (error instanceof LockBusyError) {
      throw temporary("File has been locked for 30 seconds straight. (#4.3.0)\n");
    }
    throw temporary(`Unable to lock: ${(error as Error).message}. (#4.3.0)\n`);
  }
}

async function append(
  fd: number,
  path: string,
  { head, message }: { head: string; message: Message },
): Promise<void> {
  const before = fstatSync(fd).size;
  try {
    const quote = new FromQuoter();
    writeWhole(fd, Buffer.from(head, "latin1"));
    for await (const chunk of message.chunks()) {
      for (const part of quote.push(chunk)) writeWhole(fd, part);
    }
    for (const part of quote.end()) writeWhole(fd, part);
    await synced(fd);
  } catch (error) {
    ftruncateSync(fd, before);
    throw temporary(`Unable to write ${path}: ${systemText(error)}. (#4.3.0)\n`);
  }
}

const NEWLINE = 10;
const GREATER = 62;
const FROM = Buffer.from("From ");
const QUOTE = Buffer.from(">");

/**
 * Puts ">" before lines that are "From " behind any number of ">", so that a reader cannot take them
 * for the beginning of a message; ends the message with a newline and an empty line. Streaming.
 */
export class FromQuoter {
  /** The beginning of a line that may still turn out to be From_. */
  #held: Buffer = Buffer.alloc(0);
  #lineStart = true;

  /** The bytes to write for `chunk`, as far as they are decided. */
  push(chunk: Buffer): Buffer[] {
    const data = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const out: Buffer[] = [];
    this.#held = Buffer.alloc(0);
    let written = 0;
    let at = 0;
    for (;;) {
      if (this.#lineStart) {
        const verdict = looksLikeFrom(data, at);
        if (verdict !== "no") out.push(data.subarray(written, at));
        if (verdict === "unknown") {
          this.#held = Buffer.from(data.subarray(at));
          return out;
        }
        if (verdict === "yes") {
          out.push(QUOTE);
          written = at;
        }
        this.#lineStart = false;
      }
      const newline = data.indexOf(NEWLINE, at);
      if (newline < 0) {
        out.push(data.subarray(written));
        return out;
      }
      at = newline + 1;
      this.#lineStart = true;
    }
  }

  /** What is left, the newline that the last line may lack, and the empty line behind a message. */
  end(): Buffer[] {
    const unfinished = !this.#lineStart || this.#held.length > 0;
    return [this.#held, Buffer.from(unfinished ? "\n\n" : "\n")];
  }
}

function looksLikeFrom(bytes: Buffer, from: number): "yes" | "no" | "unknown" {
  let at = from;
  while (bytes[at] === GREATER) at++;
  for (const byte of FROM) {
    if (at >= bytes.length) return "unknown";
    if (bytes[at++] !== byte) return "no";
  }
  return "yes";
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
