/**
 * splogger: `splogger [tag [facility]]`, lines from standard input to syslog (splogger(8)).
 *
 * Through the system's logger(1), one for all lines; Node cannot speak to /dev/log. Where no syslog
 * daemon listens the lines would be lost, and the supervisor wants them in any case: unless standard
 * error is a terminal, everything passes on to it unchanged.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { isatty } from "node:tty";
import { EXIT } from "../exit.ts";
import { writeAll } from "../files/write-all.ts";

/** syslog cuts, or breaks at, longer lines. */
const LINE_MAX = 800;
const MAIL = 2;
const PRIORITY = { alert: 1, warning: 4, info: 6 } as const;

/** A line as logger(1) reads it with --prio-prefix; continuation lines carry the stamp and a plus. */
export function syslogLines(line: string, stamp: string, facility: number): string {
  const level = /^(alert|warning):/.exec(line)?.[1] ?? "info";
  const priority = `<${facility * 8 + PRIORITY[level as keyof typeof PRIORITY]}>`;
  const safe = line.replace(/[^ -~]/g, "?");
  let text = "";
  for (let at = 0; at === 0 || at < safe.length; at += LINE_MAX) {
    text += `${priority}${stamp}${at === 0 ? " " : "+"}${safe.slice(at, at + LINE_MAX)}\n`;
  }
  return text;
}

/** Seconds and microseconds, as C qmail stamps lines for syslog. */
function stampNow(): string {
  const now = Date.now();
  return `${Math.floor(now / 1000)}.${String(now % 1000).padStart(3, "0")}000`;
}

function startLogger(tag: string): ChildProcess | null {
  if (!existsSync("/dev/log")) return null;
  const child = spawn("logger", ["-t", tag, "--prio-prefix"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.on("error", () => {});
  child.stdin?.on("error", () => {});
  return child;
}

function main(args: readonly string[]): void {
  const logger = startLogger(args[0] ?? "splogger");
  const facility = Number.parseInt(args[1] ?? "", 10) || MAIL;
  const pass = !isatty(2);
  let rest = "";
  process.stdin.on("data", (chunk: Buffer) => {
    if (pass) writeAll(2, chunk);
    if (!logger) return;
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    const stamp = stampNow();
    logger.stdin?.write(lines.map((line) => syslogLines(line, stamp, facility)).join(""), "latin1");
  });
  process.stdin.on("end", () => {
    logger?.stdin?.end();
    if (!logger) process.exit(EXIT.ok);
  });
}

if (import.meta.main) {
  process.title = "splogger";
  main(process.argv.slice(2));
}
