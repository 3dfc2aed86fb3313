/**
 * How fast a large queue is read: list, search by sender, stat, export, qmail-qread; beside `find | xargs cat` of
 * the same files, which says what the machine can do at that moment. Needs `npm run build`.
 *
 *   node bench/queue-reading.ts [--messages 100000] [--dir DIRECTORY] [--keep] [--home DIRECTORY]
 *
 * The queue is made in the directory and removed, or kept for another run with --home.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "./_bench.ts";
import { fillQueue, makeQueue } from "./_queue.ts";

const COMPILED = new URL("../dist/", import.meta.url);
const MAIN = new URL("cli/main.js", COMPILED).href;
const QREAD = fileURLToPath(new URL("qmail/queue/qmail-qread.js", COMPILED));
const ROUNDS = 3;

interface Figures {
  /** Seconds from the start of the process. */
  readonly first: number;
  readonly all: number;
  /** Of all its threads and children. */
  readonly processor: number;
  /** MB at the most. */
  readonly memory: number;
}

/** Runs a command to its end under time(1). */
async function measured(command: readonly string[], home: string): Promise<Figures> {
  const report = join(home, "time");
  const started = performance.now();
  const child = spawn("/usr/bin/time", ["-o", report, "-f", "%U %S %M", ...command], {
    env: { ...process.env, QMAILHOME: home },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let first = 0;
  child.stdout.on("data", () => {
    first ||= (performance.now() - started) / 1000;
  });
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`${command.join(" ")} left with ${code}`);
  const all = (performance.now() - started) / 1000;
  const [user = 0, system = 0, kilobytes = 0] = readFileSync(report, "utf8").split(" ").map(Number);
  return { first, all, processor: user + system, memory: kilobytes / 1024 };
}

function qmailctl(home: string, ...args: readonly string[]): string[] {
  const script = `process.exitCode = await (await import(${JSON.stringify(MAIN)})).main(process.argv.slice(1))`;
  return [process.execPath, "-e", script, "--", ...args, "--home", home];
}

function median(figures: readonly Figures[]): Figures {
  return figures.toSorted((a, b) => a.all - b.all)[figures.length >> 1] as Figures;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "100000" },
      dir: { type: "string", default: tmpdir() },
      home: { type: "string" },
      keep: { type: "boolean", default: false },
    },
  });
  const home = values.home ?? mkdtempSync(join(values.dir, "qmailctl-reading-"));
  try {
    process.stdout.write(describeMachine(home));
    if (values.home === undefined) {
      makeQueue(home);
      await fillQueue(`${home}/queue`, Number(values.messages));
    }
    const tar = join(home, "export.tar");
    const commands: readonly (readonly [string, readonly string[]])[] = [
      ["find queue -type f | xargs cat", ["sh", "-c", `find ${home}/queue -type f | xargs cat`]],
      ["nothing: qmailctl --version", qmailctl(home, "--version")],
      ["queue list", qmailctl(home, "queue", "list")],
      ["queue list --json", qmailctl(home, "queue", "list", "--json")],
      ["queue search --from", qmailctl(home, "queue", "search", "--from", "sender7@*")],
      ["queue search TEXT", qmailctl(home, "queue", "search", "not to be found")],
      [
        "queue list --sort next --limit 9",
        qmailctl(home, "queue", "list", "--sort", "next", "--limit", "9"),
      ],
      ["queue stat", qmailctl(home, "queue", "stat")],
      [
        "queue export --format tar",
        qmailctl(home, "queue", "export", "--format", "tar", "--output", tar),
      ],
      ["qmail-qread", [process.execPath, QREAD]],
    ];
    for (const [label, command] of commands) {
      const figures: Figures[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        rmSync(tar, { force: true });
        figures.push(await measured(command, home));
      }
      const { first, all, processor, memory } = median(figures);
      const texts = [
        `first ${(first * 1000).toFixed(0)} ms`,
        `all ${all.toFixed(2)} s`,
        `processor ${processor.toFixed(2)} s`,
        `${memory.toFixed(0)} MB`,
      ];
      process.stdout.write(`${label.padEnd(34)}${texts.map((text) => text.padEnd(18)).join("")}\n`);
    }
  } finally {
    if (values.home === undefined && !values.keep) rmSync(home, { recursive: true, force: true });
    else process.stdout.write(`the queue stays in ${home}\n`);
  }
}

main().catch((error: Error) => {
  process.stderr.write(`queue-reading: ${error.message}\n`);
  process.exitCode = 111;
});
