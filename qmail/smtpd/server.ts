/** The SMTP service: many sessions in one process, as qmaild. */

import { isIPv6, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { isRelayOpen, RELAY_DIRECTORY } from "../checkpassword/relay.ts";
import { type ListenAddress, plainAddress } from "../net/address.ts";
import { Connection, socketEnds } from "../net/connection.ts";
import { clock } from "../net/deadline.ts";
import { Listener, type Served } from "../net/listener.ts";
import { type LoginBrakes, siteBrakes } from "../net/login-brakes.ts";
import type { Certificates } from "../net/tls.ts";
import type { QueueDoor } from "../queue/qmail.ts";
import { type QueueSpace, queueSpace } from "../queue/space.ts";
import { ALLOWED, type Instructions, Rules } from "../tcpserver/rules.ts";
import type { PasswordStore } from "./auth.ts";
import { clientEnvironment } from "./client-environment.ts";
import { databytesOf, readSmtpdControls, type SmtpdControls } from "./controls.ts";
import { completing } from "./headerfields.ts";
import { ownAddresses } from "./ipme.ts";
import { hurried, type Limits, maxRcptOf } from "./limits.ts";
import * as log from "./log.ts";
import type { SmtpdOptions } from "./options.ts";
import * as replies from "./replies.ts";
import { Session } from "./session.ts";
import type { SessionContext } from "./session-context.ts";

export interface SmtpAddress extends ListenAddress {
  /** TLS from the first byte on. */
  readonly tls: boolean;
}

export interface ServerOptions
  extends Pick<
    SmtpdOptions,
    "listen" | "concurrency" | "perClient" | "relayFrom" | "submission" | "rules"
  > {
  /** The qmail home. */
  readonly home: string;
  /** RELAYCLIENT and DATABYTES count for all connections. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

/** What can be made only when root is given up. */
export interface ServerParts {
  /** The queue for one connection, whose environment is as under tcpserver; `program` is its $QMAILQUEUE. */
  readonly queueFor: (env: () => NodeJS.ProcessEnv, program: string | undefined) => QueueDoor;
  /** Null: no TLS. */
  readonly certificates: Certificates | null;
  /** Null: no AUTH. */
  readonly auth: { readonly store: PasswordStore; readonly withoutTls: boolean } | null;
}

/** A client that was sent away at once. */
const NOBODY: Served = { stop() {} };

/** Listens, and holds one session for each client. */
export class SmtpServer {
  readonly #options: ServerOptions;
  readonly #listener: Listener<SmtpAddress>;
  readonly #own = ownAddresses();
  readonly #rules: Rules | null;
  readonly #brakes: LoginBrakes;
  readonly #space: QueueSpace;
  readonly #short = () => this.#listener.short;
  #parts: ServerParts | null = null;
  #controls: SmtpdControls | null = null;
  /** Of all connections that no rule has limits for. */
  #bounds: Pick<SessionContext, "limits" | "hasRoom"> | null = null;
  #lastId = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { listen, concurrency, perClient, home, rules } = options;
    this.#brakes = siteBrakes(home, (text) => options.log(log.warning(text)));
    this.#space = queueSpace(home);
    this.#rules = rules === null ? null : new Rules(resolve(home, rules));
    this.#listener = new Listener<SmtpAddress>({
      listen,
      concurrency,
      perClient,
      exempt: (ip) => isLoopback(ip) || this.#mayRelay(ip),
      connected: (socket, { ip, address }) => this.#connected(socket, ip, address.tls),
      busy: ({ tls }) => (tls ? null : replies.busy()),
      warn: (text) => options.log(log.warning(text)),
    });
  }

  /** Binds all addresses; nothing is read from clients until `serve`. Throws an Error for a person. */
  bind(): Promise<void> {
    return this.#listener.bind();
  }

  /** The ports that were bound, in the order of `listen`. */
  get ports(): number[] {
    return this.#listener.ports;
  }

  /** Reads the controls and begins to talk. Throws when they cannot be read. */
  serve(parts: ServerParts): void {
    this.#parts = parts;
    this.reread();
    this.#listener.serve();
  }

  /** Reads the controls again, for sessions that begin from now on. Throws when they cannot be read. */
  reread(): void {
    const { home, env } = this.#options;
    this.#controls = readSmtpdControls(home, env);
    this.#bounds = this.#boundsOf(this.#controls.limits);
    if (this.#controls.rcpthosts.missing) this.#options.log(log.warning(log.NO_RCPTHOSTS));
  }

  /** Takes no more connections; resolves when the messages under way are in, or `graceMs` are over. */
  end(graceMs?: number): Promise<void> {
    return this.#listener.end(graceMs);
  }

  #connected(socket: Socket, ip: string, tlsFirst: boolean): Served {
    const said = this.#instructions(ip);
    if (typeof said !== "string") return this.#begin(socket, said, { ip, tlsFirst });
    // As under tcpserver, who is denied hears nothing; who comes when we cannot know hears to come again.
    if (said === "" || tlsFirst) socket.destroy();
    else socket.end(said, () => socket.destroy());
    return NOBODY;
  }

  /** What the rules say about `ip`; a text: the last word to it. Without a rule everybody may come. */
  #instructions(ip: string): Instructions | string {
    const { log: write } = this.#options;
    try {
      const verdict = this.#rules?.verdict({ ip, host: null, info: null }) ?? ALLOWED;
      if (verdict.deny) write(log.denied({ id: this.#nextId(), ip, rule: verdict.rule ?? "" }));
      return verdict.deny ? "" : verdict;
    } catch (error) {
      write(log.warning(`cannot read the rules: ${(error as Error).message}`));
      return replies.unableToReadControls();
    }
  }

  #nextId(): string {
    return `${process.pid}.${++this.#lastId}`;
  }

  #begin(
    socket: Socket,
    { env }: Instructions,
    { ip, tlsFirst }: { ip: string; tlsFirst: boolean },
  ): Connection {
    const { certificates } = this.#parts as ServerParts;
    const context = this.#context(socket, ip, Object.fromEntries(env));
    return new Connection(
      {
        ends: socketEnds(socket),
        ...(certificates ? { secure: (stream) => certificates.secure(stream) } : {}),
        tlsFirst,
        short: this.#short,
      },
      (wire) => new Session(context, wire),
    );
  }

  /** `ruled` are the variables of the client's rule; they go before ours. */
  #context(socket: Socket, ip: string, ruled: NodeJS.ProcessEnv): SessionContext {
    const { submission, log: write } = this.#options;
    const env = { ...this.#options.env, ...ruled };
    const { queueFor, certificates, auth } = this.#parts as ServerParts;
    const controls = this.#controlsFor(ruled);
    const shared = controls === this.#controls ? this.#bounds : null;
    const bounds = shared ?? this.#boundsOf(controls.limits);
    const relay =
      submission === null && (this.#mayRelay(ip) || this.#hasReadMail(ip, controls)) ? "" : null;
    const relayclient = env.RELAYCLIENT ?? relay;
    const local = controls.me ?? plainAddress(socket.localAddress ?? "unknown");
    return {
      id: this.#nextId(),
      peer: { ip, host: "unknown", info: null },
      local,
      controls,
      relayclient,
      isOwnAddress: (address) => this.#own.has(address),
      queue: (credentials) =>
        queueFor(
          () => ({ ...env, ...clientEnvironment(socket, { local, relayclient, ...credentials }) }),
          env.QMAILQUEUE,
        ),
      startTls: certificates !== null,
      login: auth && { ...auth, guard: this.#brakes.for(ip), host: controls.me ?? local },
      submission,
      rewriting: submission && completing(controls.idhost),
      limits: bounds.limits,
      hasRoom: bounds.hasRoom,
      now: Date.now,
      clock,
      log: write,
    };
  }

  #boundsOf(limits: Limits): Pick<SessionContext, "limits" | "hasRoom"> {
    return {
      limits: () => (this.#listener.short ? hurried(limits) : limits),
      hasRoom: (bytes) => this.#space.has(bytes, limits),
    };
  }

  #controlsFor(ruled: NodeJS.ProcessEnv): SmtpdControls {
    const controls = this.#controls as SmtpdControls;
    const [databytes, maxRcpt] = [databytesOf(ruled), maxRcptOf(ruled)];
    if (databytes === null && maxRcpt === null) return controls;
    return {
      ...controls,
      databytes: databytes ?? controls.databytes,
      limits: { ...controls.limits, maxRcpt: maxRcpt ?? controls.limits.maxRcpt },
    };
  }

  /** POP-before-SMTP: somebody at this address has proved a little while ago to be a user. */
  #hasReadMail(ip: string, { popBeforeSmtp }: SmtpdControls): boolean {
    const directory = join(this.#options.home, RELAY_DIRECTORY);
    return isRelayOpen(directory, ip, { seconds: popBeforeSmtp });
  }

  #mayRelay(ip: string): boolean {
    return this.#options.relayFrom.check(ip, isIPv6(ip) ? "ipv6" : "ipv4");
  }
}

/** Who comes from this machine is no stranger: webmail and tests open many connections. */
function isLoopback(ip: string): boolean {
  return ip === "::1" || ip.startsWith("127.");
}
