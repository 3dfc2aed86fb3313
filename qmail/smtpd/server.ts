/** The SMTP service: many connections in one process, as qmaild. */

import { BlockList, createServer, isIPv6, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { QueueDoor } from "../queue/qmail.ts";
import { readSmtpdControls, type SmtpdControls } from "./controls.ts";
import * as log from "./log.ts";
import * as replies from "./replies.ts";
import { Session } from "./session.ts";

/** At the end, messages that are coming in get so long to be finished. */
const END_MS = 30_000;

/** Lines of so many milliseconds are written together. */
const LOG_MS = 20;

export interface ListenAddress {
  /** Undefined: all addresses. */
  readonly host: string | undefined;
  readonly port: number;
}

export interface ServerOptions {
  readonly listen: readonly ListenAddress[];
  /** Connections at once; more are sent away for now. */
  readonly concurrency: number;
  /** Clients that may send to any domain. */
  readonly relayFrom: BlockList;
  readonly env: NodeJS.ProcessEnv;
  /** The qmail home. */
  readonly home: string;
  /** Writes whole lines. */
  log(lines: string): void;
}

/** `HOST:PORT`, `[::1]:25` or `:25`; null for anything else. */
export function parseListen(text: string): ListenAddress | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) return null;
  return { host: match[1] || match[2] || undefined, port };
}

/** Addresses and networks separated by commas; null when one is none. */
export function parseRelayFrom(text: string): BlockList | null {
  const allowed = new BlockList();
  for (const entry of text.split(",").filter(Boolean)) {
    const [address = "", bits] = entry.split("/");
    const type = isIPv6(address) ? "ipv6" : "ipv4";
    try {
      if (bits === undefined) allowed.addAddress(address, type);
      else allowed.addSubnet(address, Number(bits), type);
    } catch {
      return null;
    }
  }
  return allowed;
}

export class SmtpServer {
  readonly #options: ServerOptions;
  readonly #servers: Server[] = [];
  readonly #sessions = new Map<Socket, Session>();
  readonly #own = ownAddresses();
  #queue: QueueDoor | null = null;
  #controls: SmtpdControls | null = null;
  #lastSession = 0;
  #logText = "";
  #ending: Promise<void> | null = null;
  #ended = () => {};

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Binds all addresses; connections wait until `serve`. Rejects with the system's error. */
  async bind(): Promise<void> {
    for (const { host, port } of this.#options.listen) {
      const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };
      const server = createServer(options, (socket) => this.#connected(socket));
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ port, backlog: 511, ...(host === undefined ? {} : { host }) }, resolve);
      });
    }
  }

  /** The ports that are listened on, in the order of the options. */
  get ports(): number[] {
    return this.#servers.map((server) => (server.address() as { port: number }).port);
  }

  /** Reads the controls and begins to talk. Throws when they cannot be read. */
  serve(queue: QueueDoor): void {
    this.#queue = queue;
    this.reread();
  }

  /** Reads the controls again, for sessions that begin from now on. */
  reread(): void {
    const controls = readSmtpdControls(this.#options.home);
    this.#controls = controls;
    if (controls.rcpthosts === null) {
      this.#log(log.warning("control/rcpthosts is missing: every recipient is refused"));
    }
  }

  /** Takes no more connections and lets messages under way finish. Resolves when all is quiet, or late. */
  end(): Promise<void> {
    this.#ending ??= new Promise((resolve) => {
      for (const server of this.#servers) server.close();
      for (const session of this.#sessions.values()) {
        if (!session.receiving) session.dismiss(this.#closing(), "going down");
      }
      const timer = setTimeout(() => this.#ended(), END_MS);
      this.#ended = () => {
        clearTimeout(timer);
        this.#flushLog();
        resolve();
      };
      if (this.#sessions.size === 0) this.#ended();
    });
    return this.#ending;
  }

  #closing(): string {
    return replies.closing(this.#controls?.greeting ?? "");
  }

  #connected(socket: Socket): void {
    socket.on("error", () => {});
    const { concurrency } = this.#options;
    if (!this.#controls || !this.#queue || this.#sessions.size >= concurrency) {
      this.#log(log.warning(`refused a connection: ${this.#sessions.size}/${concurrency} in use`));
      socket.end(replies.busy());
      return;
    }
    const session = this.#session(socket, this.#queue, this.#controls);
    this.#sessions.set(socket, session);
    socket.setTimeout(this.#controls.timeout * 1000, () =>
      session.dismiss(replies.timeout(), "timeout"),
    );
    socket.on("data", (chunk) => {
      session.receive(chunk);
      if (this.#ending && !session.receiving) session.dismiss(this.#closing(), "going down");
    });
    socket.on("close", () => {
      session.closed("connection lost");
      this.#sessions.delete(socket);
      if (this.#sessions.size === 0) this.#ended();
    });
    socket.on("end", () => session.inputEnd());
    session.greet();
    socket.resume();
  }

  #session(socket: Socket, queue: QueueDoor, controls: SmtpdControls): Session {
    const ip = plainAddress(socket.remoteAddress ?? "unknown");
    const { env } = this.#options;
    const relay = this.#mayRelay(ip) ? "" : null;
    return new Session({
      number: ++this.#lastSession,
      peer: { ip, host: "unknown", info: null },
      queue,
      controls,
      databytes: Number(env.DATABYTES ?? controls.databytes),
      relayclient: env.RELAYCLIENT ?? relay,
      isOwnAddress: (address) => this.#own.has(address),
      now: () => Math.floor(Date.now() / 1000),
      log: (line) => this.#log(line),
      write: (reply) => void socket.write(reply, "latin1"),
      end: () => socket.end(),
      flow: (open) => void (open ? socket.resume() : socket.pause()),
    });
  }

  #mayRelay(ip: string): boolean {
    const type = isIPv6(ip) ? "ipv6" : "ipv4";
    return ip !== "unknown" && this.#options.relayFrom.check(ip, type);
  }

  /** The lines of one turn leave in one write. */
  #log(line: string): void {
    if (this.#logText === "") setTimeout(() => this.#flushLog(), LOG_MS);
    this.#logText += line;
  }

  #flushLog(): void {
    const text = this.#logText;
    this.#logText = "";
    if (text !== "") this.#options.log(text);
  }
}

/** An IPv4 client of an IPv6 socket, as what it is. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(all.map(({ address }) => address));
}
