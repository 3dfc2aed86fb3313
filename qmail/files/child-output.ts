/**
 * What a child writes, on as many descriptors as are given to it: a pipe of the kernel, which keeps the order of all that is
 * written, and which the child may open as /dev/stderr (see nameless-file.ts).
 */

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { O_RDONLY, O_WRONLY, O_NONBLOCK, O_NOFOLLOW } = constants;

/** FIFOs without a name that nobody writes to any more: to make one takes a process. */
const free: number[] = [];
const FREE_MAX = 16;

/**
 * Calls `start` with a descriptor for what its child writes; it is closed when that returns. `text`: the first `max` bytes of what
 * is written until nobody has it open any more, as a byte string. Throws the system's error.
 */
export function withOutput<T>(
  max: number,
  start: (fd: number) => T,
): { readonly child: T; readonly text: Promise<string> } {
  const fifo = free.pop() ?? makeFifo();
  const path = `/proc/self/fd/${fifo}`;
  // The writer's blocks, as a pipe's does; ours must not.
  const writer = openSync(path, O_WRONLY);
  try {
    const reader = openSync(path, O_RDONLY | O_NONBLOCK);
    const text = readAll(new Socket({ fd: reader, readable: true, writable: false }), max);
    return { child: start(writer), text: text.finally(() => giveBack(fifo)) };
  } finally {
    closeSync(writer);
  }
}

function readAll(socket: Socket, max: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1", 0, max - text.length);
    });
    // What cannot be read on was said all the same.
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

function makeFifo(): number {
  const path = join(tmpdir(), `qmail.${randomBytes(12).toString("hex")}`);
  const { status, stderr, error } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`cannot make the FIFO "${path}": ${stderr.trim()}`);
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  unlinkSync(path);
  return fd;
}

function giveBack(fifo: number): void {
  if (free.length < FREE_MAX) free.push(fifo);
  else closeSync(fifo);
}
