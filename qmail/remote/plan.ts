/** Where a message goes and how: routes, options, credentials. No name is looked up here. */

import { hash } from "node:crypto";
import { readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import type { SecureContextOptions } from "node:tls";
import { ConstMap } from "../control/constmap.ts";
import type { Control } from "../control/control.ts";
import type { Credentials } from "./auth.ts";
import { QMTP_PORT } from "./qmtp-session.ts";
import { type RemoteOptions, RemoteOptionsTable } from "./remoteoptions.ts";
import { findRoute, parseRelay, type Relay, type Route, SMTP_PORT } from "./smtproutes.ts";

/** Everything that mail for this plan has in common: two messages with one key may share a connection. */
export interface Plan {
  readonly key: string;
  /** The recipients' domain. */
  readonly domain: string;
  /** Where to connect to: the domain's exchangers, or one host. */
  readonly host: string;
  readonly byMx: boolean;
  /** The file and line that says so; null: by MX, or none. */
  readonly route: string | null;
  readonly protocol: "smtp" | "qmtp";
  readonly port: number;
  readonly options: RemoteOptions;
  readonly credentials: Credentials | null;
  readonly secureContext: SecureContextOptions;
}

/**
 * What plans may differ in and yet share connections: it changes nothing about how one is made, with whom, and what it
 * is trusted for. All else is in the key, what is added later too.
 */
export const NOT_IN_KEY: {
  readonly plan: Partial<Record<keyof Plan, string>>;
  readonly options: Partial<Record<keyof RemoteOptions, string>>;
} = {
  plan: {
    key: "what is being made",
    domain: "by MX it is the host; what a relay must prove does not hang on whom the mail is for",
    route: "where it is written; what it says is in the host and port",
    options: "one by one",
  },
  options: {
    concurrency: "how many connections there are",
    rate: "how often they are used",
    recipients: "how a message is divided",
    reuse: "asked of a connection before each message",
    eightBit: "asked of each message",
  },
};

/** The key of a plan: two that differ in anything that is not in NOT_IN_KEY have different ones. */
export function planKey(plan: Omit<Plan, "key">): string {
  const { options } = plan;
  const all = [without(plan, NOT_IN_KEY.plan), without(options, NOT_IN_KEY.options)];
  return hash("sha256", JSON.stringify(all), "base64");
}

function without(all: object, names: object): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(all)) {
    if (!Object.hasOwn(names, name)) kept[name] = value;
  }
  return kept;
}

/** A plan cannot be made, because something in the control files is wrong or cannot be read. */
export class PlanError extends Error {}

interface Way {
  readonly relay: Relay;
  /** Where that is written. */
  readonly line: string;
}

interface Pem {
  readonly text: string;
  /** Of the file that it was read from. */
  readonly stamp: string;
}

export class Plans {
  readonly #home: string;
  readonly #routes: ConstMap;
  readonly #qmtpRoutes: ConstMap;
  readonly #senderRoutes: ConstMap;
  readonly #options: RemoteOptionsTable;
  readonly #pems = new Map<string, Pem>();

  /** By the control files of the installation in `home`. Throws for a file that cannot be understood. */
  constructor(home: string, control: Control) {
    this.#home = home;
    this.#routes = new ConstMap(control.lines("smtproutes") ?? []);
    this.#qmtpRoutes = new ConstMap(control.lines("qmtproutes") ?? []);
    this.#senderRoutes = new ConstMap(control.lines("senderroutes") ?? []);
    this.#options = new RemoteOptionsTable(control.lines("remoteoptions") ?? []);
  }

  /** For mail from `sender` to `domain`. Throws PlanError. */
  find(sender: string, domain: string): Plan {
    const qmtp = leadsTo("qmtproutes", findRoute(this.#qmtpRoutes, domain, QMTP_PORT));
    const route = qmtp ?? this.#route(sender, domain);
    const { relay } = route ?? { relay: null };
    const protocol = qmtp ? "qmtp" : "smtp";
    const options = this.#options.find(sender, domain);
    const { auth } = options;
    const plan = {
      domain,
      host: (relay?.host ?? domain).toLowerCase(),
      byMx: relay === null,
      route: route?.line ?? null,
      protocol,
      port: relay?.port ?? SMTP_PORT,
      options,
      credentials: auth === undefined ? null : this.#credentials(auth),
      secureContext: this.#secureContext(options),
    } as const;
    return { ...plan, key: planKey(plan) };
  }

  /** A route for the domain, then one for the sender, then the route for everything. */
  #route(sender: string, domain: string): Way | null {
    const route = findRoute(this.#routes, domain);
    if (route && route.pattern !== "") return leadsTo("smtproutes", route);
    const bySender = this.#bySender(sender);
    return bySender ? leadsTo("senderroutes", bySender) : leadsTo("smtproutes", route);
  }

  /** For the address, then its domain as for a recipient's, and none for everybody. */
  #bySender(sender: string): Route | null {
    const entry = this.#senderRoutes.get(sender);
    if (entry !== undefined) return { pattern: sender, entry, ...parseRelay(entry) };
    const domain = sender.slice(sender.lastIndexOf("@") + 1);
    const route = findRoute(this.#senderRoutes, domain);
    return route?.pattern === "" ? null : route;
  }

  /** control/remoteauth: `name:user:password` lines, in a file that nobody else reads. */
  #credentials(name: string): Credentials {
    const path = join(this.#home, "control/remoteauth");
    const { mode } = stat(path);
    if (mode & 0o077) {
      throw new PlanError(`"${path}" can be read by others (mode ${(mode & 0o777).toString(8)})`);
    }
    // A file from elsewhere may end its lines in CR LF, and no password ends in CR.
    for (const line of read(path).split(/\r?\n/)) {
      const [known, user, ...password] = line.split(":");
      if (known === name && user !== undefined && password.length > 0) {
        return { user, password: password.join(":") };
      }
    }
    throw new PlanError(`"${path}" has no line for "${name}"`);
  }

  #secureContext({ ca, cert }: RemoteOptions): SecureContextOptions {
    const pem = cert === undefined ? {} : { cert: this.#pem(cert), key: this.#pem(cert) };
    return { ...(ca === undefined ? {} : { ca: this.#pem(ca) }), ...pem };
  }

  /** A PEM file, as it is now: certificates are renewed. A relative path is relative to the qmail home. */
  #pem(name: string): string {
    const path = name.startsWith("/") ? name : join(this.#home, name);
    const { ino, size, mtimeMs } = stat(path);
    const stamp = `${ino} ${size} ${mtimeMs}`;
    const known = this.#pems.get(path);
    if (known?.stamp === stamp) return known.text;
    const text = read(path);
    this.#pems.set(path, { text, stamp });
    return text;
  }
}

/** Where a route leads to; null when it does not. Throws PlanError for one that cannot be understood. */
function leadsTo(file: string, route: Route | null): Way | null {
  if (!route) return null;
  const line = `control/${file}, "${route.pattern}:${route.entry}"`;
  if (route.fault !== null) throw new PlanError(`${line}: ${route.fault}`);
  return route.relay && { relay: route.relay, line };
}

function stat(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw new PlanError(`cannot look at "${path}": ${(error as Error).message}`);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    throw new PlanError(`cannot read "${path}": ${(error as Error).message}`);
  }
}
