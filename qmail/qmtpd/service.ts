/**
 * The two doors of QMTP and QMQP: one session on descriptors 0 and 1, under tcpserver or inetd; or
 * with `--listen HOST:PORT ...` the service that has all connections in one process.
 */

import { isIPv6, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { EXIT } from "../exit.ts";
import { become } from "../files/become.ts";
import { closeInherited } from "../files/inherited.ts";
import { qmailHome } from "../home.ts";
import { readIds } from "../ids.ts";
import type { ListenAddress } from "../net/address.ts";
import { ByteReader, EndOfInput } from "../net/byte-reader.ts";
import { Listener, type Served } from "../net/listener.ts";
import { NetstringError } from "../net/netstring.ts";
import { localQueue } from "../queue/local-queue.ts";
import { networkQueue } from "../queue/network-queue.ts";
import { programQueue } from "../queue/program-queue.ts";
import type { QueueDoor } from "../queue/qmail.ts";
import { type QueueSpace, queueSpace } from "../queue/space.ts";
import { hurried, type Limits } from "../smtpd/limits.ts";
import { sayReady } from "../supervise/ready.ts";
import { type Client, clientOfEnvironment } from "./client.ts";
import * as log from "./log.ts";
import { type Options, parseOptions, USAGE, UsageError } from "./options.ts";
import { Pacer } from "./pacer.ts";

/** Connections of one client at once, unless it may relay. */
const PER_CLIENT = 50;

export interface SessionContext {
  /** Protocol and number, for the log. */
  readonly id: string;
  readonly client: Client;
  readonly queue: QueueDoor;
  /** Whether there is room in the queue for so many bytes more. */
  readonly hasRoom: (bytes: number) => boolean;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly log: (line: string) => void;
  /** Resolves when more may be written. */
  write(bytes: Buffer): Promise<void>;
}

export interface Session {
  /** True from the first byte of a message to its answer. */
  readonly receiving: boolean;
  /** Talks until the client leaves. Throws NetstringError and EndOfInput. */
  run(input: ByteReader): Promise<void>;
  /** To take no further message. */
  stop(): void;
}

/** A protocol: what makes it differ from the other. */
export interface Door {
  /** As `qmtpd`. */
  readonly name: string;
  /** Whether clients outside of `relayFrom` may connect. */
  readonly open: boolean;
  /** Reads the controls of the installation in `home`. Throws when they cannot be read. */
  prepare(home: string, env: NodeJS.ProcessEnv): Prepared;
}

/** What the controls say. */
export interface Prepared {
  readonly limits: Limits;
  /** Makes the session for a client; `relayclient` is null for one that may not relay. */
  session(context: SessionContext, relayclient: string | null): Session;
}

/** Runs the program that `door` is, as its arguments want. */
export async function runDoor(door: Door): Promise<void> {
  const program = `qmail-${door.name}`;
  process.title = program;
  process.umask(0o077);
  const args = process.argv.slice(2);
  try {
    if (args.length === 0) process.exit(await oneSession(door));
    const options = parseOptions(args);
    closeInherited();
    process.chdir(qmailHome());
    await serve(door, options);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const usage = error instanceof UsageError || code.startsWith("ERR_PARSE_ARGS");
    process.stderr.write(
      `${program}: fatal: ${message}${usage ? `\nusage: ${program} ${USAGE}` : ""}\n`,
    );
    process.exit(usage ? EXIT.hard : EXIT.soft);
  }
}

/** The classic door: the environment says who the client is. Resolves with the exit code of C qmail. */
async function oneSession(door: Door): Promise<number> {
  const { env, stdin, stdout } = process;
  const home = qmailHome();
  stdout.on("error", () => process.exit(EXIT.ok));
  const { limits, session: makeSession } = door.prepare(home, env);
  const pacer = new Pacer({ limits: () => limits, over: () => process.exit(EXIT.soft) });
  const space = queueSpace(home);
  const session = makeSession(
    {
      id: `${door.name} ${process.pid}`,
      client: clientOfEnvironment(env),
      queue: localQueue(home, env),
      hasRoom: (bytes) => space.has(bytes, limits),
      now,
      // What is said of a session is its answers; a log line would be in the client's way.
      log: () => {},
      write: (bytes) => pacer.write(writeTo(stdout, bytes)),
    },
    env.RELAYCLIENT ?? null,
  );
  try {
    await session.run(new ByteReader(pacer.read(stdin, () => session.receiving)));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof EndOfInput) return EXIT.ok;
    if (error instanceof NetstringError && error.kind === "protocol") return EXIT.hard;
    return EXIT.soft;
  } finally {
    pacer.close();
  }
}

async function serve(door: Door, options: Options): Promise<void> {
  process.stdout.on("error", () => {});
  const server = new DoorServer(door, { ...options, home: ".", env: process.env, log: say });
  await server.bind();
  dropPrivilege();
  server.reread();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => void server.end().then(() => process.exit(EXIT.ok)));
  }
  process.on("SIGHUP", () => server.reread());
  const program = process.env.QMAILQUEUE;
  const queue = networkQueue(".");
  if (!program) await queue.connect();
  server.serve(program ? programQueue(program) : queue);
  sayReady();
}

/** Before the first byte from the network is read. */
function dropPrivilege(): void {
  const ids = readIds(".");
  if (ids.sandbox || process.getuid?.() !== 0) return;
  become({ uid: ids.uid.qmaild, gid: ids.gid.nofiles });
}

export interface ServerOptions extends Options {
  /** The qmail home. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

/** Listens, and holds one session for each client. */
export class DoorServer {
  readonly #door: Door;
  readonly #options: ServerOptions;
  readonly #listener: Listener<ListenAddress>;
  readonly #space: QueueSpace;
  #prepared: Prepared | null = null;
  #queue: QueueDoor | null = null;
  #lastId = 0;

  constructor(door: Door, options: ServerOptions) {
    this.#door = door;
    this.#options = options;
    const { listen, concurrency } = options;
    this.#space = queueSpace(options.home);
    this.#listener = new Listener({
      listen,
      concurrency,
      perClient: PER_CLIENT,
      exempt: (ip) => this.#mayRelay(ip),
      connected: (socket, { ip }) => this.#connected(socket, ip),
      // The protocol has no word before the message: a client without a place comes back later.
      busy: () => null,
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

  /** Begins to talk; the controls must have been read. */
  serve(queue: QueueDoor): void {
    this.#queue = queue;
    this.#listener.serve();
  }

  /** Reads the controls, for sessions that begin from now on. Throws when there were none before. */
  reread(): void {
    const { home, env } = this.#options;
    try {
      this.#prepared = this.#door.prepare(home, env);
    } catch (error) {
      if (!this.#prepared) throw error;
      this.#options.log(log.warning(`${(error as Error).message}, the old controls stay`));
    }
  }

  /** Takes no more connections; resolves when the messages under way are in. */
  end(): Promise<void> {
    return this.#listener.end();
  }

  #connected(socket: Socket, ip: string): Served {
    const { env, log: write } = this.#options;
    const id = `${this.#door.name} ${++this.#lastId}`;
    const mayRelay = this.#mayRelay(ip);
    if (!mayRelay && !this.#door.open) {
      write(log.broken(id, ip, "not in relayFrom"));
      socket.destroy();
      return { stop() {} };
    }
    const { limits, session: makeSession } = this.#prepared as Prepared;
    let why: string | null = null;
    const breakOff = (reason: string) => {
      why = reason;
      socket.destroy();
    };
    const pacer = new Pacer({
      limits: () => (this.#listener.short ? hurried(limits) : limits),
      over: () => breakOff("timeout"),
    });
    const context: SessionContext = {
      id,
      client: { ip, host: "unknown", info: null, local: socket.localAddress ?? "unknown" },
      queue: this.#queue as QueueDoor,
      hasRoom: (bytes) => this.#space.has(bytes, limits),
      now,
      log: write,
      write: (bytes) => pacer.write(writeTo(socket, bytes)),
    };
    const relayclient = env.RELAYCLIENT ?? (mayRelay ? "" : null);
    const session = makeSession(context, relayclient);
    void converse(socket, session, {
      pacer,
      broken(reason) {
        const text = why ?? reason;
        if (text !== null) write(log.broken(id, ip, text));
      },
    });
    return {
      stop() {
        session.stop();
        if (!session.receiving) socket.destroy();
      },
      get due() {
        return pacer.due;
      },
      hurry: (ms) => pacer.hurry(ms),
      // The protocol has no word before the message.
      sendAway: () => breakOff("sent away"),
    };
  }

  #mayRelay(ip: string): boolean {
    return this.#options.relayFrom.check(ip, isIPv6(ip) ? "ipv6" : "ipv4");
  }
}

/** Runs `session` on `socket` until either has ended. */
async function converse(
  socket: Socket,
  session: Session,
  { pacer, broken }: { readonly pacer: Pacer; broken(why: string | null): void },
): Promise<void> {
  try {
    await session.run(new ByteReader(pacer.read(socket, () => session.receiving)));
    // Who breaks off between two messages has said all that he wanted.
    if (socket.destroyed) broken(null);
    else socket.end(() => socket.destroy());
  } catch (error) {
    if (!(error instanceof EndOfInput || error instanceof NetstringError)) throw error;
    broken(error.message);
    socket.destroy();
  } finally {
    pacer.close();
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

function say(lines: string): void {
  process.stdout.write(lines, "latin1");
}

/** Resolves when `stream` takes more, or is gone. */
function writeTo(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    else stream.write(bytes, () => resolve());
  });
}
