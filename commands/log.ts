/** `qmailctl log`: what the daemons say, in local time, newest last. */

import { once } from "node:events";
import { watch } from "node:fs";
import kleur from "kleur";
import { type LogEntry, LogFollower, loggedServices, tailLog } from "./log/files.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { checkInstalled } from "./supervisor.ts";

export interface LogOptions {
  readonly home: string;
  /** Go on with what comes, until interrupted. */
  readonly follow?: boolean;
  readonly lines?: number;
  /** Only this service. */
  readonly service?: string;
  readonly output: Output;
}

/** Shows the log of the mail server in `home`. */
export async function log(options: LogOptions): Promise<void> {
  const { home, follow = false, lines = 50, service, output } = options;
  checkInstalled(home);
  try {
    const known = loggedServices(home);
    if (service !== undefined && !known.includes(service)) {
      throw new UsageError(`there is no service "${service}"`, [`there is: ${known.join(", ")}`]);
    }
    const entries = tailLog(home, { lines, ...(service === undefined ? {} : { service }) });
    if (!follow) output.data(entries);
    if (entries.length === 0 && !follow) output.line("Nothing has been logged yet.");
    for (const entry of entries) show(entry, output, follow);
    if (follow) await followLogs(home, service === undefined ? known : [service], output);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    throw new CommandError(`cannot read the log: ${(error as Error).message}`, {
      hints: ["run it as root, or as the user who installed the mail server"],
    });
  }
}

async function followLogs(
  home: string,
  services: readonly string[],
  output: Output,
): Promise<void> {
  const followers = services.map((service) => new LogFollower(home, service));
  const watchers = services.map((service, at) => {
    const watcher = watch(`${home}/log/${service}`);
    watcher.on("change", () => {
      for (const entry of followers[at]?.read() ?? []) show(entry, output, true);
    });
    return watcher;
  });
  await once(process, "SIGINT");
  for (const watcher of watchers) watcher.close();
  for (const follower of followers) follower.close();
}

/** Shows one line. */
export function show(entry: LogEntry, output: Output, following: boolean): void {
  // A stream has no end at which one document could be closed: a line is a document then.
  if (output.json) {
    if (following) process.stdout.write(`${JSON.stringify(entry)}\n`);
    return;
  }
  output.line(
    `${kleur.dim(localTime(entry.time))} ${kleur.dim(entry.service)} ${colour(entry.text)}`,
  );
}

function colour(text: string): string {
  const line = Buffer.from(text, "latin1").toString();
  if (/^(alert:|delivery \d+: failure)/.test(line)) return kleur.red(line);
  if (/^(warning:|delivery \d+: deferral)/.test(line)) return kleur.yellow(line);
  if (/^delivery \d+: success/.test(line)) return kleur.green(line);
  return line;
}

function localTime(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
