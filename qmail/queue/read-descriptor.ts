/** An inherited descriptor, read piece by piece without ever blocking the process: its clock must go on. */

import { fstatSync, readSync } from "node:fs";
import { Socket } from "node:net";

const CHUNK = 64 * 1024;

/** The bytes of descriptor `fd` to its end. Throws the system's error. */
export async function* readDescriptor(fd: number): AsyncGenerator<Buffer> {
  const stat = fstatSync(fd);
  if (stat.isFIFO() || stat.isSocket()) yield* readPipe(fd);
  else yield* readFile(fd);
}

async function* readPipe(fd: number): AsyncGenerator<Buffer> {
  const socket = new Socket({ fd, readable: true, writable: false });
  for await (const chunk of socket) yield chunk as Buffer;
}

function* readFile(fd: number): Generator<Buffer> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const count = readSync(fd, buffer);
    if (count === 0) return;
    yield buffer.subarray(0, count);
  }
}
