/** qmail-tcpto: the hosts that have timed out lately (qmail-tcpto(8)). */

import { readFileSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { parseTcpto, type TimedOut } from "./tcpto.ts";

/** One line of qmail-tcpto at `now`, in seconds since 1970. */
export function formatTimedOut({ ip, count, time }: TimedOut, now: number): string {
  return `${ip} timed out ${now - time} seconds ago; # recent timeouts: ${count}\n`;
}

if (import.meta.main) {
  try {
    const table = readFileSync(`${qmailHome()}/queue/lock/tcpto`);
    const now = Math.floor(Date.now() / 1000);
    for (const host of parseTcpto(table)) process.stdout.write(formatTimedOut(host, now));
  } catch (error) {
    process.stdout.write(`fatal: unable to open tcpto: ${(error as Error).message}\n`);
    process.exitCode = EXIT.soft;
  }
}
