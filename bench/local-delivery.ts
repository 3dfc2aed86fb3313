/**
 * Local delivery beside Postfix: from 20 SMTP sessions to the last file in a Maildir, every message
 * synced by both, the two systems in turn in one run.
 *
 *   node bench/local-delivery.ts [--rounds 5] [--messages 3000] [--dir DIRECTORY]
 *
 * Needs root (Postfix does) and Debian's package postfix. All traffic stays on 127.0.0.1.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, watch } from "node:fs";
import { createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type MailServer, makePostfix, postfixVersion } from "./_postfix.ts";
import { makeQmailctl } from "./_qmailctl.ts";

const SESSIONS = 20;
const SIZE = 4096;
const CONCURRENCY = 20;
/** A round that takes longer is given up. */
const ROUND_MS = 120_000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "3000" },
    dir: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function count(directory: string): number {
  return readdirSync(directory).length;
}

/** Resolves when `directory` holds `wanted` files. */
async function filled(directory: string, wanted: number): Promise<void> {
  const watcher = watch(directory);
  const expired = AbortSignal.timeout(ROUND_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      let missing = wanted - count(directory);
      watcher.on("change", () => {
        // Counting a large directory costs the systems time: only when it can be full.
        if (--missing > 0) return;
        missing = wanted - count(directory);
        if (missing <= 0) resolve();
      });
      expired.addEventListener("abort", () =>
        reject(new Error(`only ${count(directory)} of ${wanted} arrived`)),
      );
    });
  } finally {
    watcher.close();
  }
}

/** Messages a second, from the first connection to the last file. */
async function round({ maildir, recipient, port }: MailServer): Promise<number> {
  const all = filled(maildir, count(maildir) + messages);
  const options = { s: SESSIONS, l: SIZE, m: messages, f: "sender@example.test", t: recipient };
  const args = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const started = performance.now();
  const source = spawn("smtp-source", [...args, `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code] = (await once(source, "exit")) as [number];
  if (code !== 0) throw new Error(`smtp-source left with ${code}`);
  await all;
  return (messages / (performance.now() - started)) * 1000;
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const low = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
  const high = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return (low + high) / 2;
}

function row(label: string, qmailctl: number, postfix: number): string {
  const cells = [qmailctl.toFixed(0), postfix.toFixed(0), (qmailctl / postfix).toFixed(2)];
  return `${label.padEnd(8)}${cells.map((cell) => cell.padStart(10)).join("")}\n`;
}

function describeMachine(directory: string): string {
  const [cpu] = cpus();
  const filesystem = execFileSync("stat", ["-f", "-c", "%T", directory], { encoding: "utf8" });
  return (
    `${cpus().length} cores, ${cpu?.model ?? "unknown"}, ${filesystem.trim()}; ` +
    `Node ${process.versions.node}, Postfix ${postfixVersion()}\n` +
    `${messages} messages of ${SIZE} bytes, ${SESSIONS} sessions, ${CONCURRENCY} deliveries at once\n`
  );
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  for (const name of ["postfix", "qmailctl"]) mkdirSync(join(directory, name));
  const servers: MailServer[] = [];
  try {
    const ours = makeQmailctl(join(directory, "qmailctl"), await freePort(), {
      concurrency: CONCURRENCY,
    });
    const theirs = makePostfix(join(directory, "postfix"), await freePort(), CONCURRENCY);
    process.stdout.write(describeMachine(directory));
    process.stdout.write("          qmailctl   postfix     ratio   (messages a second)\n");
    for (const server of [ours, theirs]) {
      servers.push(server);
      server.start();
    }
    const figures: [number, number][] = [];
    for (let at = 1; at <= rounds; at++) {
      // Nothing is deleted between rounds: deletions would slow whoever comes next.
      const pair: [number, number] = [await round(ours), await round(theirs)];
      figures.push(pair);
      process.stdout.write(row(`round ${at}`, ...pair));
    }
    process.stdout.write(
      row("median", median(figures.map(([a]) => a)), median(figures.map(([, b]) => b))),
    );
    const ratio = median(figures.map(([a, b]) => a / b));
    process.stdout.write(`median of the ratios: ${ratio.toFixed(2)}\n`);
  } finally {
    for (const server of servers) server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`local-delivery: ${error.message}\n`);
  process.exitCode = 111;
});
