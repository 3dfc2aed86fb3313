/** `qmailctl send --trace ADDRESS`: one test delivery past the queue, with everything that happens on its way shown. */

import kleur from "kleur";
import { Control } from "../qmail/control/control.ts";
import { date822 } from "../qmail/date822.ts";
import { EXIT } from "../qmail/exit.ts";
import type { Plan } from "../qmail/remote/plan.ts";
import { deliveryReport, findPlan, readRemoteConfig, remote } from "../qmail/remote/remote.ts";
import { readWorldWithPolicies } from "../qmail/remote/world.ts";
import { readTables, rewrite } from "../qmail/send/rewrite.ts";
import { bufferMessage } from "../qmail/spawn/message.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { printable } from "./printable.ts";
import { checkInstalled } from "./supervisor.ts";

export interface TraceOptions {
  readonly home: string;
  readonly to: string;
  /** Envelope sender; postmaster of this host when absent. */
  readonly from?: string;
  readonly output: Output;
}

interface Event {
  readonly direction: string;
  readonly text: string;
}

/** Sends one test message to `to`; the exit code is 0 when it was taken, 111 when it would be tried again, 100 when not. */
export async function trace({ home, to, from, output }: TraceOptions): Promise<void> {
  checkInstalled(home);
  const { config, me } = readConfig(home);
  const { host, recipient } = remoteAddress(home, to);
  const sender = from ?? `postmaster@${me}`;
  const plan = findPlan(config, { host, sender, recipients: [recipient] });
  if ("status" in plan) throw new CommandError(plan.text.trim(), { code: EXIT.soft });
  const route = routeText(plan);
  output.line(`${kleur.bold("route")}  ${route}`);
  const events: Event[] = [];
  const watch = (direction: string, text: string) => {
    events.push({ direction, text });
    for (const line of text.split("\n")) output.line(eventText(direction, printable(line)));
  };
  const message = testMessage(sender, recipient);
  const outcome = await remote(
    { ...config, trace: watch },
    { host, sender, recipients: [recipient], message },
  );
  const { status, text } = deliveryReport(outcome);
  const result = { K: "success", Z: "deferral", D: "failure" }[status];
  const colour = { K: kleur.green, Z: kleur.yellow, D: kleur.red }[status];
  output.line(
    `${kleur.bold("result")} ${colour(result)}: ${text.trim().split("\n").map(printable).join("\n       ")}`,
  );
  output.data({ route, events, result, text });
  process.exitCode = { K: EXIT.ok, Z: EXIT.soft, D: EXIT.hard }[status];
}

function readConfig(home: string) {
  try {
    const me = new Control(home).line("me") ?? "localhost";
    // As qmail-remote sees it, whose notes are left alone.
    const world = readWorldWithPolicies(home, { keep: false });
    return { config: readRemoteConfig(home, world), me };
  } catch (error) {
    throw new CommandError((error as Error).message, { cause: error });
  }
}

/** Throws UsageError for what is no address, CommandError for one that qmail-send would deliver here. */
function remoteAddress(home: string, to: string): { host: string; recipient: string } {
  const bytes = Buffer.from(to).toString("latin1");
  const at = bytes.lastIndexOf("@");
  if (at <= 0 || at === bytes.length - 1) throw new UsageError(`"${to}" is no address`);
  const { channel, address } = rewrite(readTables(new Control(home)), bytes);
  if (channel === "local") {
    throw new CommandError(`"${to}" is delivered on this machine: there is nothing to trace`, {
      code: EXIT.hard,
      hints: [`see where it goes: qmailctl explain ${to}`],
    });
  }
  return { host: address.slice(address.lastIndexOf("@") + 1), recipient: address };
}

function routeText({ byMx, host, port, options, credentials }: Plan): string {
  const details = [
    byMx ? `the mail exchangers of ${host}` : `${host} port ${port}`,
    ...(credentials ? [`as ${credentials.user}`] : []),
    ...(options.bind ? [`from ${options.bind}`] : []),
  ];
  return details.join(", ");
}

function eventText(direction: string, line: string): string {
  if (direction === ">") return `${kleur.cyan("     >")} ${line}`;
  if (direction === "*") return `${kleur.dim(`     * ${line}`)}`;
  return `${/^[45]/.test(line) ? kleur.red("     <") : kleur.green("     <")} ${line}`;
}

function testMessage(sender: string, recipient: string) {
  const header =
    `Date: ${date822(Math.floor(Date.now() / 1000))}\nFrom: <${sender}>\nTo: <${recipient}>\n` +
    "Subject: qmailctl test delivery\nAuto-Submitted: auto-generated\n\n";
  return bufferMessage(Buffer.from(`${header}This is a test delivery.\n`, "latin1"));
}
