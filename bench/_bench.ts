/** What the measurements share: ports, SMTP sources, figures, the machine in a line. */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, watch } from "node:fs";
import { createServer } from "node:net";
import { cpus } from "node:os";

/** A port on 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Runs Postfix's smtp-source with `options` by letter (true: a flag) to its end; resolves with the milliseconds it took. */
export async function smtpSource(
  port: number,
  options: Readonly<Record<string, string | number | true>>,
): Promise<number> {
  const args = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`-${name}`] : [`-${name}`, String(value)],
  );
  const started = performance.now();
  const source = spawn("smtp-source", [...args, `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code] = (await once(source, "exit")) as [number];
  if (code !== 0) throw new Error(`smtp-source left with ${code}`);
  return performance.now() - started;
}

/** A round that takes longer is given up. */
const ROUND_MS = 300_000;

/** Files in `directory`; none when it is not there. */
export function fileCount(directory: string): number {
  try {
    return readdirSync(directory).length;
  } catch {
    return 0;
  }
}

/** Resolves when `directory` holds `wanted` files. */
export async function filled(directory: string, wanted: number): Promise<void> {
  const watcher = watch(directory);
  const expired = AbortSignal.timeout(ROUND_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      let missing = wanted - fileCount(directory);
      watcher.on("change", () => {
        // Counting a large directory costs the systems time: only when it can be full.
        if (--missing > 0) return;
        missing = wanted - fileCount(directory);
        if (missing <= 0) resolve();
      });
      expired.addEventListener("abort", () =>
        reject(new Error(`only ${fileCount(directory)} of ${wanted} arrived`)),
      );
    });
  } finally {
    watcher.close();
  }
}

export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const low = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
  const high = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return (low + high) / 2;
}

/** One line of a comparison: the two figures and how many times the second the first is. */
export function row(label: string, ours: number, theirs: number): string {
  const cells = [ours.toFixed(0), theirs.toFixed(0), (ours / theirs).toFixed(2)];
  return `${label.padEnd(8)}${cells.map((cell) => cell.padStart(10)).join("")}\n`;
}

/** Rows for all pairs, then the medians. */
export async function compare(
  rounds: number,
  unit: string,
  round: () => Promise<[number, number]>,
): Promise<void> {
  process.stdout.write(`          qmailctl   postfix     ratio   (${unit})\n`);
  const figures: [number, number][] = [];
  for (let at = 1; at <= rounds; at++) {
    const pair = await round();
    figures.push(pair);
    process.stdout.write(row(`round ${at}`, ...pair));
  }
  const [ours, theirs] = [figures.map(([a]) => a), figures.map(([, b]) => b)];
  process.stdout.write(row("median", median(ours), median(theirs)));
  const ratio = median(figures.map(([a, b]) => a / b));
  process.stdout.write(`median of the ratios: ${ratio.toFixed(2)}\n`);
}

export function describeMachine(directory: string): string {
  const [cpu] = cpus();
  const filesystem = execFileSync("stat", ["-f", "-c", "%T", directory], { encoding: "utf8" });
  return `${cpus().length} cores, ${cpu?.model ?? "unknown"}, ${filesystem.trim()}; Node ${process.versions.node}\n`;
}
