/** multilog: lines from standard input into log directories, `multilog t s1000000 n10 ./main`. */

import { closeSync, constants, mkdirSync, openSync, writeSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { writeAll } from "../files/write-all.ts";
import { LogDirectory } from "./log-directory.ts";
import { lockDirectory, processor } from "./processor.ts";
import { type LogAction, type LogScript, parseScript, select } from "./script.ts";
import { Stamper } from "./stamper.ts";
import { formatTai64n, STAMP_LENGTH } from "./tai64n.ts";

/** So much of a line is printed, or put into a status file. */
const PRINT_MAX = 200;
const STATUS_MAX = 1000;

/** After trouble with the disk; what is to come waits in the pipe, and then who writes it. */
const PAUSE_MS = 1000;

/** Lines of one piece of input with what was decided about them: byte strings without newline. */
interface Lines {
  readonly lines: readonly string[];
  /** Stamp and space, which no pattern sees. */
  readonly skip: number;
  readonly selected: boolean[];
}

interface Output {
  take(lines: Lines): void;
  /** The same file is not written any further. */
  finish?(): void;
  close?(): void;
}

function outputOf(action: LogAction): Output {
  switch (action.type) {
    case "select":
      return {
        take({ lines, skip, selected }) {
          for (const [at, line] of lines.entries()) {
            const so = { line: line.slice(skip), selected: selected[at] as boolean };
            selected[at] = select(action, so);
          }
        },
      };
    case "print":
      return { take: print };
    case "status":
      return statusFile(action.file);
    case "directory":
      return new Directory(action);
  }
}

function chosen({ lines, selected }: Lines): string[] {
  return lines.filter((_, at) => selected[at]);
}

function print(all: Lines): void {
  const cut = (line: string) => (line.length > PRINT_MAX ? `${line.slice(0, PRINT_MAX)}...` : line);
  const text = chosen(all).map((line) => `${cut(line)}\n`);
  writeAll(2, Buffer.from(text.join(""), "latin1"));
}

/** Always of one length, the last line at its beginning: who reads it sees no mixture of two. */
function statusFile(path: string): Output {
  const { O_WRONLY, O_NONBLOCK, O_CREAT } = constants;
  const fd = openSync(path, O_WRONLY | O_NONBLOCK | O_CREAT, 0o644);
  return {
    take(all) {
      const line = chosen(all).at(-1)?.slice(0, STATUS_MAX);
      if (line === undefined) return;
      const text = Buffer.from(line.padEnd(STATUS_MAX + 1, "\n"), "latin1");
      persist(`write to ${path}`, () => writeSync(fd, text, 0, text.length, 0));
    },
    close: () => closeSync(fd),
  };
}

class Directory implements Output {
  readonly #path: string;
  readonly #log: LogDirectory;

  constructor(action: Extract<LogAction, { type: "directory" }>) {
    const { directory, limits, processor: command } = action;
    this.#path = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    lockDirectory(directory);
    const process = command === null ? {} : { process: processor(directory, command) };
    this.#log = persist(
      `process ${directory}/previous`,
      () => new LogDirectory(directory, limits, process),
    );
  }

  take(all: Lines): void {
    const text = chosen(all).map((line) => `${line}\n`);
    let rest = Buffer.from(text.join(""), "latin1");
    persist(`write to ${this.#path}/current`, () => {
      try {
        this.#log.write(rest, Date.now());
      } catch (error) {
        rest = rest.subarray(this.#log.taken);
        throw error;
      }
    });
  }

  finish(): void {
    persist(`finish ${this.#path}/current`, () => this.#log.finish(Date.now()));
  }

  close(): void {
    persist(`close ${this.#path}/current`, () => this.#log.close());
  }
}

/** Tries `action` until it succeeds: no line is lost to a full disk, who writes has to wait. */
function persist<T>(what: string, action: () => T): T {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      return action();
    } catch (error) {
      const warning = `multilog: warning: unable to ${what}, pausing: ${(error as Error).message}\n`;
      writeAll(2, Buffer.from(warning));
      Atomics.wait(nobody, 0, 0, PAUSE_MS);
    }
  }
}

function run({ stamps, actions }: LogScript): void {
  const outputs = actions.map(outputOf);
  const stamper = new Stamper();
  const prefix = () => (stamps ? `${formatTai64n(Date.now())} ` : "");
  const skip = stamps ? STAMP_LENGTH + 1 : 0;
  const write = (text: string) => {
    const lines = text.split("\n").slice(0, -1);
    if (lines.length === 0) return;
    const all = { lines, skip, selected: lines.map(() => true) };
    for (const output of outputs) output.take(all);
  };
  process.stdin.on("data", (chunk: Buffer) =>
    write(stamper.push(chunk.toString("latin1"), prefix())),
  );
  process.stdin.on("end", () => {
    write(stamper.end(prefix()));
    for (const output of outputs) output.close?.();
    process.exit(EXIT.ok);
  });
  process.on("SIGALRM", () => {
    for (const output of outputs) output.finish?.();
  });
  // The end of the input ends us, not a signal: what is on its way is still written.
  process.on("SIGTERM", () => {});
}

function main(): void {
  const script = parseScript(process.argv.slice(2));
  if (typeof script === "string") {
    process.stderr.write(`multilog: fatal: ${script}\n`);
    process.exitCode = EXIT.hard;
    return;
  }
  try {
    run(script);
  } catch (error) {
    process.stderr.write(`multilog: fatal: ${(error as Error).message}\n`);
    process.exitCode = EXIT.soft;
  }
}

if (import.meta.main) {
  process.title = "multilog";
  main();
}
