/** The FIFOs of the supervisor: one for the log of each service, one by which each says that it is ready. */

import { spawnSync } from "node:child_process";
import { constants, openSync, readSync, statSync } from "node:fs";
import { Socket } from "node:net";

/**
 * Opens the FIFO `path`, made if need be, for both directions: so either side may die and come back, and what was
 * said meanwhile waits in it. It is not made anew: who holds the old one would be lost to account.ts.
 */
export function openFifo(path: string): number {
  if (!statSync(path, { throwIfNoEntry: false })?.isFIFO()) {
    const { status, stderr } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
    if (status !== 0) throw new Error(`cannot make the FIFO "${path}": ${stderr}`);
  }
  return openSync(path, constants.O_RDWR);
}

/**
 * The FIFO `path`, which is open, for a service: to write, so that it cannot read what others say there. As a sign that it
 * was given to it (account.ts) it is for appending, which means nothing to a FIFO.
 */
export function openForService(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_APPEND);
}

/** Hears what is said in a FIFO that stays open. */
export class Listener {
  readonly #fd: number;

  /** Calls `happened` whenever something with `line` in it is written to the FIFO `path`. */
  constructor(path: string, line: string, happened: () => void) {
    // Opened once more: not blocking is a property of the opening, and the service's must block.
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    socket.on("data", (chunk: Buffer) => {
      if (chunk.toString("latin1").includes(line)) happened();
    });
  }

  /** Forgets what was said and not yet heard. */
  forget(): void {
    const chunk = Buffer.allocUnsafe(4096);
    try {
      while (readSync(this.#fd, chunk) > 0);
    } catch {
      // Empty (EAGAIN).
    }
  }
}
