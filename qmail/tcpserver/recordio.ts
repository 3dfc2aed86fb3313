/**
 * recordio PROGRAM: runs it between us and records on descriptor 2 what goes in and out (recordio(1) of ucspi-tcp):
 * its pid, `<` or `>`, the text, and at the end of a line a space for a newline, + for none, [EOF] for the end.
 *
 * C's becomes the program and leaves a child to record. Node cannot put descriptors in place and become
 * another program, so here the program is the child; it ends when the program's output does, all the same.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { EXIT } from "../exit.ts";
import { systemReason } from "../system-reason.ts";

/** So many bytes are a packet. */
const PACKET = 256;
const LF = 10;
const EOF = "[EOF]\n";

/** The lines of the record for `bytes`, which `arrow` says go in or out of the process `pid`. */
export function* recordLines(pid: number, arrow: "<" | ">", bytes: Buffer): Generator<Buffer> {
  const prefix = Buffer.from(`${pid} ${arrow} `);
  for (let packet = 0; packet < bytes.length; packet += PACKET) {
    const end = Math.min(packet + PACKET, bytes.length);
    for (let at = packet; at < end; ) {
      const lf = bytes.subarray(at, end).indexOf(LF);
      const stop = lf < 0 ? end : at + lf;
      yield Buffer.concat([prefix, bytes.subarray(at, stop), Buffer.from(lf < 0 ? "+\n" : " \n")]);
      at = lf < 0 ? end : stop + 1;
    }
  }
}

/** Passes everything on from `from` to `to`, recorded first. Resolves at the end, or when nobody takes it any more. */
async function record(
  from: Readable,
  to: Writable,
  { pid, arrow }: { pid: number; arrow: "<" | ">" },
): Promise<void> {
  try {
    for await (const bytes of from) {
      // A line is one write: other processes write there, too.
      for (const line of recordLines(pid, arrow, bytes)) process.stderr.write(line);
      if (!to.write(bytes)) await drained(to);
    }
    process.stderr.write(`${pid} ${arrow} ${EOF}`);
    await new Promise<void>((resolve, reject) => {
      to.once("error", reject).end(resolve);
    });
  } catch {
    // One end is gone: the other learns it.
    from.destroy();
    to.destroy();
  }
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("drain", resolve).once("close", reject).once("error", reject);
  });
}

/** Runs the program `args` and resolves with its exit code. */
async function recordio([program = "", ...args]: readonly string[]): Promise<number> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const left = exitCode(child);
  const { pid } = child;
  if (pid !== undefined) {
    for (const stream of [child.stdin, process.stdout, process.stderr])
      stream.on("error", () => {});
    process.stdout.on("error", () => child.stdout.destroy());
    void record(process.stdin, child.stdin, { pid, arrow: "<" });
    await record(child.stdout, process.stdout, { pid, arrow: ">" });
    // Whoever reads from us shall see the end, and the program that nobody talks to it any more.
    closeSync(1);
    child.stdin.destroy();
  }
  return left;
}

function exitCode(child: ChildProcess): Promise<number> {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve) => {
    child.on("error", (error) => {
      const what = `unable to run ${child.spawnfile}: ${systemReason(error)}`;
      process.stderr.write(`recordio: fatal: ${what}\n`);
      resolve(EXIT.soft);
    });
    child.on("exit", (code, signal) => {
      resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]);
    });
  });
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  if (args.length === 0) {
    process.stderr.write("recordio: usage: recordio program [ arg ... ]\n");
    process.exit(EXIT.hard);
  }
  process.exit(await recordio(args));
}
