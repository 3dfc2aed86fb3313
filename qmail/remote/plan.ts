/** Where a message goes and how: routes, options, credentials. No name is looked up here. */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SecureContextOptions } from "node:tls";
import { ConstMap } from "../control/constmap.ts";
import type { Control } from "../control/control.ts";
import type { Credentials } from "./auth.ts";
import { QMTP_PORT } from "./qmtp-session.ts";
import { type RemoteOptions, RemoteOptionsTable } from "./remoteoptions.ts";
import { findRoute, parseRelay, type Relay, SMTP_PORT } from "./smtproutes.ts";

/** Everything that mail for this plan has in common: two messages with one key may share a connection. */
export interface Plan {
  readonly key: string;
  /** The recipients' domain. */
  readonly domain: string;
  /** Where to connect to: the domain's exchangers, or one host. */
  readonly host: string;
  readonly byMx: boolean;
  readonly protocol: "smtp" | "qmtp";
  readonly port: number;
  readonly options: RemoteOptions;
  readonly credentials: Credentials | null;
  readonly secureContext: SecureContextOptions;
}

/** A plan cannot be made, because something in the control files is wrong or cannot be read. */
export class PlanError extends Error {}

export class Plans {
  readonly #home: string;
  readonly #routes: ConstMap;
  readonly #qmtpRoutes: ConstMap;
  readonly #senderRoutes: ConstMap;
  readonly #options: RemoteOptionsTable;
  readonly #pems = new Map<string, string>();

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
    const qmtp = findRoute(this.#qmtpRoutes, domain, QMTP_PORT)?.relay ?? null;
    const relay = qmtp ?? this.#relay(sender, domain);
    const protocol = qmtp ? "qmtp" : "smtp";
    const options = this.#options.find(sender, domain);
    const { auth, bind = "", helo = "" } = options;
    const host = (relay?.host ?? domain).toLowerCase();
    const port = relay?.port ?? SMTP_PORT;
    // The domain belongs to the key where the policy for TLS may depend on it.
    const key = [protocol, host, port, relay ? "" : "mx", options.tls, auth ?? "", bind, helo].join(
      " ",
    );
    return {
      key,
      domain,
      host,
      byMx: relay === null,
      protocol,
      port,
      options,
      credentials: auth === undefined ? null : this.#credentials(auth),
      secureContext: this.#secureContext(options),
    };
  }

  /** A route for the domain, then one for the sender, then the route for everything. */
  #relay(sender: string, domain: string): Relay | null {
    const route = findRoute(this.#routes, domain);
    if (route && route.pattern !== "") return route.relay;
    const bySender = this.#senderRoutes.get(sender) ?? this.#bySenderDomain(sender);
    if (bySender !== undefined) return parseRelay(bySender);
    return route?.relay ?? null;
  }

  #bySenderDomain(sender: string): string | undefined {
    const domain = sender.slice(sender.lastIndexOf("@") + 1);
    for (let from = 0; from >= 0 && domain !== ""; from = domain.indexOf(".", from + 1)) {
      const entry = this.#senderRoutes.get(domain.slice(from));
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** control/remoteauth: `name:user:password` lines, in a file that nobody else reads. */
  #credentials(name: string): Credentials {
    const path = join(this.#home, "control/remoteauth");
    const { mode } = stat(path);
    if (mode & 0o077) {
      throw new PlanError(`"${path}" can be read by others (mode ${(mode & 0o777).toString(8)})`);
    }
    for (const line of read(path).split("\n")) {
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

  /** A PEM file; a relative path is relative to the qmail home. */
  #pem(path: string): string {
    const known = this.#pems.get(path);
    if (known !== undefined) return known;
    const text = read(path.startsWith("/") ? path : join(this.#home, path));
    this.#pems.set(path, text);
    return text;
  }
}

function stat(path: string): { mode: number } {
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
