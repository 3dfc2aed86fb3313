/** `qmailctl log`: what the daemons say, in local time, newest last. */

import kleur from "kleur";
import { loggedServices, tailLog } from "./log/files.ts";
import type { ShownLine } from "./log/lines.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { harmlessJson, printable } from "./printable.ts";
import { checkInstalled } from "./supervisor.ts";
import { dateTime } from "./time.ts";

export interface LogOptions {
  readonly home: string;
  readonly lines?: number;
  /** Only this service. */
  readonly service?: string;
  readonly output: Output;
}

/** Shows the end of the log of the mail server in `home`. */
export function log({ home, lines = 50, service, output }: LogOptions): void {
  checkInstalled(home);
  try {
    const known = loggedServices(home);
    if (service !== undefined && !known.includes(service)) {
      throw new UsageError(`there is no service "${service}"`, [`there is: ${known.join(", ")}`]);
    }
    const entries = tailLog(home, { lines, ...(service === undefined ? {} : { service }) });
    output.data(entries);
    if (entries.length === 0) output.line("Nothing has been logged yet.");
    for (const entry of entries) if (!output.json) show(entry, output);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    throw new CommandError(`cannot read the log: ${(error as Error).message}`, {
      hints: ["run it as root, or as the user who installed the mail server"],
    });
  }
}

/** Shows one line of many that may still come: with --json each is a document. */
export function show(line: ShownLine, output: Output): void {
  if (output.json) process.stdout.write(`${harmlessJson(JSON.stringify(line))}\n`);
  else {
    const { time, service, text } = line;
    output.line(`${kleur.dim(localTime(time))} ${kleur.dim(printable(service))} ${colour(text)}`);
  }
}

function colour(text: string): string {
  const line = printable(text);
  if (/^(alert:|delivery \d+: failure|\w+: \S+ event=(refused|denied))/.test(line))
    return kleur.red(line);
  if (/^(warning:|\w+: warning:|delivery \d+: deferral|.*verdict=(?!ok))/.test(line))
    return kleur.yellow(line);
  if (/^(delivery \d+: success|\w+: \S+ event=accepted)/.test(line)) return kleur.green(line);
  return line;
}

function localTime(ms: number): string {
  if (Number.isNaN(ms)) return "no time";
  return `${dateTime(ms)}.${String(new Date(ms).getMilliseconds()).padStart(3, "0")}`;
}
