/**
 * Delivery of messages to the mail servers of other hosts (qmail-remote(8)): one run for the classic door,
 * and for qmail-rspawn's worker with connections kept and shared.
 */

import { join } from "node:path";
import { ConstSet } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { OwnAddresses } from "../net/own-addresses.ts";
import type { Message } from "../spawn/message.ts";
import type { Report } from "../spawn/report.ts";
import { srsForward } from "../srs/srs.ts";
import { readSrsKeys } from "../srs/srs-keys.ts";
import { warn } from "../warn.ts";
import { type ConnectContext, openSession } from "./connecting.ts";
import { type Plan, PlanError, Plans } from "./plan.ts";
import { isSession } from "./session.ts";
import { TCPTO_FILE, Tcpto } from "./tcpto.ts";
import type { Outcome } from "./words.ts";
import * as words from "./words.ts";
import { readWorld } from "./world.ts";

const TIMEOUT_MAX = 2_000_000;

export interface RemoteConfig extends ConnectContext {
  readonly plans: Plans;
  /** Deliveries at once, of all hosts. */
  readonly concurrency: number;
  /** The envelope sender to send with: of strangers, whose mail is only passing through, an SRS address. */
  readonly senderFor: (sender: string) => string;
}

/** As the control files of the installation in `home` say. Throws when one is missing or cannot be understood. */
export function readRemoteConfig(home: string, world = readWorld(home)): RemoteConfig {
  const control = new Control(home);
  const own = new OwnAddresses(control);
  return {
    helohost: readHelohost(control),
    timeoutConnect: timeout(control, "timeoutconnect", 60),
    timeoutRemote: timeout(control, "timeoutremote", 1200),
    timeoutTotal: timeout(control, "timeouttotal", 3600),
    concurrency: control.int("concurrencyremote", 20),
    plans: new Plans(home, control),
    senderFor: readSenderFor(home, control),
    tcpto: new Tcpto(join(home, TCPTO_FILE)),
    ...world,
    isOwn: (ip) => own.has(ip),
    random: Math.random,
    now: Date.now,
  };
}

export interface RemoteRequest {
  readonly host: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly message: Message;
}

/** Delivers one message over a connection of its own. Never throws for what DNS, the network or the other side do. */
export async function remote(config: RemoteConfig, request: RemoteRequest): Promise<Outcome> {
  const plan = findPlan(config, request);
  if ("status" in plan) return words.outcome(plan);
  const session = await openSession(config, plan);
  if (!isSession(session)) return words.outcome(session.report);
  const sender = config.senderFor(request.sender);
  const { eightBit } = plan.options;
  const outcome = await session.transfer({ ...request, sender, eightBit });
  session.close();
  return outcome;
}

/** What is to be done with `request`, or the report that says why nothing can. */
export function findPlan(
  { plans }: RemoteConfig,
  { host, sender, recipients }: Omit<RemoteRequest, "message">,
): Plan | Report {
  if ([sender, ...recipients].some(isUnspeakable)) return words.UNSPEAKABLE;
  try {
    return plans.find(sender, host);
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    warn(error.message);
    return words.BAD_CONTROL;
  }
}

/** qmail-rspawn's rule: what recipient number `at` and the message came to together. */
export function deliveryReport({ recipients, report }: Outcome, at = 0): Report {
  const recipient = recipients[at];
  if (!recipient || recipient.status === "r") {
    return { status: report.status, text: (recipient?.text ?? "") + report.text };
  }
  return { status: recipient.status === "h" ? "D" : "Z", text: recipient.text + report.text };
}

/** An empty file says no more than none: the next one counts. */
function readHelohost(control: Control): string {
  const name = control.line("helohost") || control.line("me");
  if (name) return name;
  const which = (file: string) =>
    `control/${file} is ${control.line(file) === null ? "missing" : "empty"}`;
  throw new Error(`cannot tell our name: ${which("helohost")}, ${which("me")}`);
}

/** Seconds; no more than a timer can count. */
function timeout(control: Control, name: string, otherwise: number): number {
  return Math.min(control.int(name, otherwise), TIMEOUT_MAX);
}

function readSenderFor(home: string, control: Control): (sender: string) => string {
  const keys = readSrsKeys(home, control);
  if (!keys) return (sender) => sender;
  const ours = new ConstSet([
    keys.domain,
    ...(control.lines("locals", true) ?? []),
    ...(control.lines("rcpthosts") ?? []),
    ...(control.lines("virtualdomains") ?? []).map((line) => line.replace(/:.*/, "")),
  ]);
  const isOurs = (domain: string) => {
    for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) {
      if (ours.has(domain.slice(from))) return true;
    }
    return false;
  };
  return (sender) => {
    if (isOurs(sender.slice(sender.lastIndexOf("@") + 1))) return sender;
    return srsForward(keys, sender, Math.floor(Date.now() / 1000));
  };
}

/**
 * An address goes over the wire as it is: a line's end in it would be a command of its own, and other control bytes
 * are no better to whoever reads them. The domain is not quoted, either.
 */
function isUnspeakable(address: string): boolean {
  const domain = address.slice(address.lastIndexOf("@") + 1);
  return /[^ -~\x80-\xff]/.test(address) || /[ <>]/.test(domain);
}
