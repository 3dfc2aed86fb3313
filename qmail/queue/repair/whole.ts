/** Whether the bytes of a queue file are those of such a file: a power cut or a full disk may have left others. */

import { closeSync, constants, openSync, readSync } from "node:fs";
import { readTrailer } from "../drop.ts";
import { EnvelopeError, parseTodo } from "../envelope.ts";
import type { Kind } from "./survey.ts";

/** True when the file at `path` with `size` bytes can be read as what it is; one that is gone can. */
export function isWhole(kind: Kind, path: string, size: number): boolean {
  switch (kind) {
    case "mess":
      return size > 0;
    case "info":
      return size > 1 && ends(path, size, "F");
    case "local":
    case "remote":
      return size > 1 && ends(path, size, "TD");
    case "todo":
      return size > 0 && isTodo(path, size);
    default:
      // intd may be in the making; the text of a bounce is any.
      return true;
  }
}

/** True when the file in drop at `path` is complete. */
export function isWholeDrop(path: string, size: number): boolean {
  return reading(path, (fd) => readTrailer(fd, size) !== null);
}

/** True when the file begins with one of `letters` and ends with a NUL. */
function ends(path: string, size: number, letters: string): boolean {
  return reading(path, (fd) => {
    const two = Buffer.alloc(2);
    readSync(fd, two, 0, 1, 0);
    readSync(fd, two, 1, 1, size - 1);
    return letters.includes(two.toString("latin1", 0, 1)) && two[1] === 0;
  });
}

function isTodo(path: string, size: number): boolean {
  return reading(path, (fd) => {
    const bytes = Buffer.alloc(size);
    readSync(fd, bytes, 0, size, 0);
    try {
      parseTodo(bytes);
      return true;
    } catch (error) {
      if (error instanceof EnvelopeError) return false;
      throw error;
    }
  });
}

function reading(path: string, judge: (fd: number) => boolean): boolean {
  let fd: number;
  try {
    // In drop anybody can put anything.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Gone, or closed to its own user: its mode is wrong then, which is another matter.
    if (code === "ENOENT" || code === "EACCES") return true;
    throw error;
  }
  try {
    return judge(fd);
  } finally {
    closeSync(fd);
  }
}
