/**
 * The way of an address through the mail system, by the code that mail itself takes: qmail-send's
 * rewriting, qmail-lspawn's look-up, qmail-local's choice of instructions, and on through forwards.
 */

import { ConstMap } from "../../qmail/control/constmap.ts";
import type { Delivery } from "../../qmail/local/dotqmail.ts";
import { LOOPING } from "../../qmail/local/local.ts";
import type { Outlook } from "../../qmail/local/outlook.ts";
import { QMTP_PORT } from "../../qmail/remote/qmtp-session.ts";
import { findRoute, SMTP_PORT } from "../../qmail/remote/smtproutes.ts";
import { type Decision, decide } from "../../qmail/send/rewrite.ts";
import { troubleReport } from "../../qmail/spawn/qmail-lspawn.ts";
import type { Report } from "../../qmail/spawn/report.ts";
import type { Nughde } from "../../qmail/users/assign.ts";
import { NughdeError, type Whose } from "../../qmail/users/nughde.ts";
import type { Site } from "./site.ts";
import { assignSource, controlSource } from "./sources.ts";

/** Forwards are followed so far, and so many addresses in all. */
const DEPTH_MAX = 20;
const ADDRESSES_MAX = 100;

/** One decision. */
export interface Step {
  readonly topic: "address" | "domain" | "route" | "user" | "home" | "file" | "list";
  readonly text: string;
  /** Relative to the qmail home, or absolute: `control/locals:2`. Null when no file says so. */
  readonly source: string | null;
  /** What else a person may want to know: what was tried, what does not fit. */
  readonly notes: readonly string[];
}

/** One instruction that would be carried out. */
export interface Action {
  readonly source: string;
  readonly instruction: Delivery;
  /** Where a file is. */
  readonly path: string | null;
  readonly trouble: Report | null;
  /** For a forward: what becomes of it; null when it is not followed. */
  readonly forward: Explanation | null;
}

export interface Explanation {
  readonly address: string;
  /** What is delivered to: with what virtualdomains puts in front. */
  readonly recipient: string;
  readonly channel: "local" | "remote";
  readonly steps: readonly Step[];
  readonly user: Nughde | null;
  readonly actions: readonly Action[];
  /** What the log would say of this address alone: K, Z or D, and for failures the text. */
  readonly report: Report;
  /** The worst of this and of all that it is forwarded to. */
  readonly outcome: Report["status"];
}

interface Way {
  /** Local addresses that the message has come through. */
  readonly through: readonly string[];
  /** Addresses explained so far, in the whole tree. */
  readonly count: { value: number };
}

/** Explains `address` on `site`. */
export function walk(site: Site, address: string): Promise<Explanation> {
  return walkOn(site, address, { through: [], count: { value: 0 } });
}

async function walkOn(site: Site, address: string, way: Way): Promise<Explanation> {
  way.count.value++;
  const decision = decide(site.tables, address);
  const steps = [...addressSteps(site, decision), domainStep(site, decision)];
  const { channel, address: recipient } = decision;
  if (channel === "remote") {
    steps.push(routeStep(site, recipient));
    const report = { status: "K", text: "" } as const;
    return ended({ address, recipient, channel, steps, user: null, actions: [], report });
  }
  const start = { address, recipient, channel, steps };
  const at = recipient.lastIndexOf("@");
  const [local, host] = [recipient.slice(0, at), recipient.slice(at + 1)];
  if (local === "") {
    steps.push(step("user", "nobody: mail for an empty name is thrown away", null));
    return ended({ ...start, user: null, actions: [], report: { status: "K", text: "" } });
  }
  try {
    const whose = await site.whose(local);
    steps.push(userStep(site, local, whose));
    const outlook = await site.outlook(whose, { local, host });
    return await locally(site, outlook, { ...start, whose, way });
  } catch (error) {
    if (!(error instanceof NughdeError)) throw error;
    const { message } = (error.cause as Error | undefined) ?? error;
    steps.push(step("user", "nobody can be said to own it now", null, [message]));
    return ended({ ...start, user: null, actions: [], report: troubleReport(error) });
  }
}

interface Local extends Pick<Explanation, "address" | "recipient" | "channel"> {
  readonly steps: Step[];
  readonly whose: Whose;
  readonly way: Way;
}

async function locally(site: Site, outlook: Outlook, at: Local): Promise<Explanation> {
  const { steps, whose, way, address, recipient, channel } = at;
  const { nughde: user } = whose;
  const known = { address, recipient, channel, steps, user };
  if (way.through.includes(recipient)) {
    return ended({ ...known, actions: [], report: { status: "D", text: LOOPING } });
  }
  steps.push(...fileSteps(site, outlook, user));
  const report = outlook.trouble ?? ({ status: "K", text: "" } as const);
  const on: Way = { ...way, through: [...way.through, recipient] };
  const actions: Action[] = [];
  for (const { number, instruction, path, trouble } of outlook.lines) {
    // Forwards leave when everything else has been done: after trouble none does.
    const forward =
      instruction.type === "forward" && report.status === "K"
        ? await follow(site, instruction.address, on)
        : null;
    const source = instructionsFile(site, outlook, number);
    actions.push({ source, instruction, path, trouble, forward });
  }
  return ended({ ...known, actions, report });
}

function follow(site: Site, address: string, way: Way): Promise<Explanation> | null {
  if (way.through.length >= DEPTH_MAX || way.count.value >= ADDRESSES_MAX) return null;
  return walkOn(site, address, way);
}

function ended(explanation: Omit<Explanation, "outcome">): Explanation {
  const all = [
    explanation.report.status,
    ...explanation.actions.flatMap(({ forward }) => forward?.outcome ?? []),
  ];
  const outcome = all.includes("D") ? "D" : all.includes("Z") ? "Z" : "K";
  return { ...explanation, outcome };
}

function step(
  topic: Step["topic"],
  text: string,
  source: string | null,
  notes: readonly string[] = [],
): Step {
  return { topic, text, source, notes };
}

function addressSteps({ control }: Site, { forms }: Decision): Step[] {
  return forms.slice(1).map((form, at) => {
    if (forms[at]?.includes("@")) {
      return step("address", `${form}, by the percent hack`, "control/percenthack");
    }
    const file = control.line("envnoathost") === null ? "me" : "envnoathost";
    return step("address", `${form}, since it had no domain`, `control/${file}:1`);
  });
}

function domainStep({ home }: Site, { forms, file, key, address }: Decision): Step {
  const plain = forms.at(-1) as string;
  const domain = plain.slice(plain.lastIndexOf("@") + 1);
  if (file === "locals") {
    return step("domain", `${domain} is local`, controlSource(home, file, key as string));
  }
  if (file === "virtualdomains") {
    const source = controlSource(home, file, key as string);
    return step("domain", `${domain} is virtual: ${address}`, source);
  }
  const source = key === null ? null : controlSource(home, "virtualdomains", key);
  const why = key === null ? "in neither locals nor virtualdomains" : "an exception";
  return step("domain", `${domain} is remote: ${why}`, source);
}

function routeStep({ home, control }: Site, recipient: string): Step {
  const host = recipient.slice(recipient.lastIndexOf("@") + 1);
  for (const [file, port] of ROUTES) {
    const route = findRoute(new ConstMap(control.lines(file) ?? []), host, port);
    if (!route || (!route.relay && !route.fault)) continue;
    const source = controlSource(home, file, route.pattern);
    if (!route.relay) return step("route", `nowhere, until it is mended: ${route.fault}`, source);
    return step("route", `through ${route.relay.host}, port ${route.relay.port}`, source);
  }
  const exception = findRoute(new ConstMap(control.lines("smtproutes") ?? []), host);
  const source = exception && controlSource(home, "smtproutes", exception.pattern);
  return step("route", `to the mail exchangers (MX) of ${host}`, source);
}

/** Files of routes with the port of their protocol, the first that has one for a host counts. */
const ROUTES = [
  ["qmtproutes", QMTP_PORT],
  ["smtproutes", SMTP_PORT],
] as const;

function userStep(site: Site, local: string, { nughde, by, key, candidates }: Whose): Step {
  const { name, uid, gid } = nughde;
  const who = `${name} (uid ${uid}, gid ${gid})`;
  if (by === "assign") {
    const source = assignSource(site.assign ?? "", key as string) ?? `users/cdb, ${key}`;
    return step("user", `${who}, by ${key}`, source, site.assignTrouble(local, nughde));
  }
  const unknown = candidates.filter((each) => !each.user).map((each) => each.name);
  const notes = [
    ...(unknown.length > 0 ? [`no such user: ${unknown.join(", ")}`] : []),
    ...candidates.flatMap((each) =>
      each.objection === null ? [] : [`${each.name} does not count: ${each.objection}`],
    ),
  ];
  const text = by === "alias" ? `${who}, since it is nobody else's` : who;
  const source = site.sandbox ? null : "passwd";
  return step("user", text, source, [...notes, ...site.assignTrouble(local, null)]);
}

function fileSteps(site: Site, { found, tried, trouble }: Outlook, user: Nughde): Step[] {
  const notes = site.seenBy(user);
  const home = step("home", user.home, null, notes);
  if (!found) {
    const text = `none of ${tried.join(", ")}`;
    return trouble?.status === "D" ? [home, step("file", text, null)] : [home];
  }
  const missing = tried.slice(0, found.file === null ? tried.length : -1);
  const looked = missing.length > 0 ? [`not there: ${missing.join(", ")}`] : [];
  const list = step("list", "only forwards are allowed: it is executable", found.file);
  const lists = found.forwardOnly ? [list] : [];
  if (!found.byDefault) return [home, step("file", found.file ?? "", null, looked), ...lists];
  const why = found.file === null ? "" : `${found.file} is empty: `;
  return [home, step("file", `${why}the default delivery`, site.rcSource(1), looked)];
}

function instructionsFile(site: Site, { found }: Outlook, number: number): string {
  if (found?.byDefault) return site.rcSource(number);
  return `${found?.file}:${number}`;
}
