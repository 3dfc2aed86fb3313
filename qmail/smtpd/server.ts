/** The SMTP service: many sessions in one process, as qmaild. */

import { isIPv6, type Socket } from "node:net";
import { join } from "node:path";
import { isRelayOpen, RELAY_DIRECTORY } from "../checkpassword/relay.ts";
import { type ListenAddress, plainAddress } from "../net/address.ts";
import { Connection, socketEnds } from "../net/connection.ts";
import { Listener } from "../net/listener.ts";
import { LoginBrakes } from "../net/login-brakes.ts";
import type { Certificates } from "../net/tls.ts";
import type { QueueDoor } from "../queue/qmail.ts";
import type { PasswordStore } from "./auth.ts";
import { clientEnvironment } from "./client-environment.ts";
import { readSmtpdControls, type SmtpdControls } from "./controls.ts";
import { submissionFields } from "./headerfields.ts";
import { ownAddresses } from "./ipme.ts";
import * as log from "./log.ts";
import type { SmtpdOptions } from "./options.ts";
import * as replies from "./replies.ts";
import { Session, type SessionContext } from "./session.ts";

export interface SmtpAddress extends ListenAddress {
  /** TLS from the first byte on. */
  readonly tls: boolean;
}

export interface ServerOptions
  extends Pick<SmtpdOptions, "listen" | "concurrency" | "perClient" | "relayFrom" | "submission"> {
  /** The qmail home. */
  readonly home: string;
  /** RELAYCLIENT and DATABYTES count for all connections. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

/** What can be made only when root is given up. */
export interface ServerParts {
  /** The queue for one connection, whose environment is as under tcpserver. */
  readonly queueFor: (env: () => NodeJS.ProcessEnv) => QueueDoor;
  /** Null: no TLS. */
  readonly certificates: Certificates | null;
  /** Null: no AUTH. */
  readonly auth: { readonly store: PasswordStore; readonly withoutTls: boolean } | null;
}

/** Listens, and holds one session for each client. */
export class SmtpServer {
  readonly #options: ServerOptions;
  readonly #listener: Listener<SmtpAddress>;
  readonly #own = ownAddresses();
  readonly #brakes = new LoginBrakes(() => Date.now() / 1000);
  #parts: ServerParts | null = null;
  #controls: SmtpdControls | null = null;
  #lastId = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { listen, concurrency, perClient } = options;
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
    if (this.#controls.rcpthosts.missing) this.#options.log(log.warning(log.NO_RCPTHOSTS));
  }

  /** Takes no more connections; resolves when the messages under way are in, or `graceMs` are over. */
  end(graceMs?: number): Promise<void> {
    return this.#listener.end(graceMs);
  }

  #connected(socket: Socket, ip: string, tlsFirst: boolean): Connection {
    const { certificates } = this.#parts as ServerParts;
    const context = this.#context(socket, ip);
    return new Connection(
      {
        ends: socketEnds(socket),
        timeoutMs: context.controls.timeout * 1000,
        ...(certificates ? { secure: (stream) => certificates.secure(stream) } : {}),
        tlsFirst,
      },
      (wire) => new Session(context, wire),
    );
  }

  #context(socket: Socket, ip: string): SessionContext {
    const { env, submission, log: write } = this.#options;
    const { queueFor, certificates, auth } = this.#parts as ServerParts;
    const controls = this.#controls as SmtpdControls;
    const relay =
      submission === null && (this.#mayRelay(ip) || this.#hasReadMail(ip, controls)) ? "" : null;
    const relayclient = env.RELAYCLIENT ?? relay;
    const local = controls.me ?? plainAddress(socket.localAddress ?? "unknown");
    return {
      id: `${process.pid}.${++this.#lastId}`,
      peer: { ip, host: "unknown", info: null },
      local,
      controls,
      relayclient,
      isOwnAddress: (address) => this.#own.has(address),
      queue: (credentials) =>
        queueFor(() => ({
          ...env,
          ...clientEnvironment(socket, { local, relayclient, ...credentials }),
        })),
      startTls: certificates !== null,
      login: auth && { ...auth, guard: this.#brakes.for(ip), host: controls.me ?? local },
      submission,
      headerFields: submission && (() => submissionFields(controls.idhost)),
      now: Date.now,
      log: write,
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
