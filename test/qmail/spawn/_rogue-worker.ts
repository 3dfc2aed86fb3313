/**
 * A preload (`node --import`) that makes the worker of a spawner another program than it was: what its user, whose
 * process it is, could make of it. The file `rogue` in the directory ROGUE_HOME says what it does; without that
 * file it is as always.
 */

import { existsSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FROM_WORKER, WORK } from "../../../qmail/spawn/worker-protocol.ts";
import { rawFrame, rogueFrames } from "../net/_frames.ts";

const LINK = 3;
/** More than any worker is ever owed. */
const TOO_MANY = 2000;

const TYPES = Object.values(FROM_WORKER).map(({ type }) => type);

/** What is said, once there is a delivery with this id. */
const SAYINGS: Readonly<Record<string, (id: number) => Buffer>> = {
  "a request without a body": (id) => rawFrame(WORK.more.type, id),
  "requests for the message, and no reading": (id) => {
    const position = Buffer.alloc(8);
    return Buffer.concat(
      Array.from({ length: TOO_MANY }, () => rawFrame(WORK.more.type, id, position)),
    );
  },
  "a position that is none": (id) => {
    const position = Buffer.alloc(8);
    position.writeDoubleBE(Number.NaN);
    return rawFrame(WORK.more.type, id, position);
  },
  "a report of a megabyte": (id) => rawFrame(WORK.report.type, id, Buffer.alloc(1 << 20, "K")),
  "a report that is none": (id) => rawFrame(WORK.report.type, id, "?"),
  "a frame that is nobody's": (id) => rawFrame(77, id, "x"),
  "what only a spawner says": (id) => rawFrame(WORK.start.type, id, Buffer.alloc(12)),
  "half a frame of a gigabyte": (id) => rawFrame(WORK.more.type, id, "x", 1 << 30),
};

function isWorker(): boolean {
  return /qmail-(local|remote)\.[jt]s$/.test(process.argv[1] ?? "");
}

function say(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(LINK, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN") process.exit(1);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/** The id of the first delivery. */
function firstOrder(): number {
  const header = Buffer.alloc(9);
  for (let at = 0; at < header.length; ) {
    try {
      at += readSync(LINK, header, at, header.length - at, null);
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
  return header.readUInt32BE(1);
}

const file = join(process.env.ROGUE_HOME ?? "", "rogue");
if (isWorker() && existsSync(file)) {
  const what = readFileSync(file, "utf8");
  const id = firstOrder();
  const saying = SAYINGS[what];
  say(saying ? saying(id) : rogueFrames(Number(what), TYPES));
  // It stays, and reads nothing, until it is ended.
  setInterval(() => {}, 60_000);
  await new Promise(() => {});
}
