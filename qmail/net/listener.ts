/** Many connections in one process: listens on several addresses, within limits in all and by client. */

import { createServer, type Server, type Socket } from "node:net";
import { clientOf, type ListenAddress, plainAddress } from "./address.ts";

const BACKLOG = 511;
/** At the end, what is under way gets so long to be finished. */
const END_MS = 30_000;
/** Time between two lines about clients sent away. */
const SAY_AGAIN_MS = 10_000;

/** One client that is being served. */
export interface Served {
  /** To end as soon as nothing is under way. */
  stop(): void;
}

export interface ListenerOptions<Address extends ListenAddress> {
  readonly listen: readonly Address[];
  /** Connections at once; more are sent away for now. */
  readonly concurrency: number;
  /** Connections of one client at once. */
  readonly perClient: number;
  /**
   * Clients that `perClient` does not count for. One of them gets half of all connections at the most, and all of them
   * together leave a tenth to others: a program of ours that opens too many must not be the end of mail from outside.
   */
  exempt?(ip: string): boolean;
  /** A client has come: `ip` is its address. */
  connected(socket: Socket, at: { readonly ip: string; readonly address: Address }): Served;
  /** What is said to a client that finds no place; null: nothing, as before a TLS handshake. */
  busy(address: Address): string | null;
  /** Something that the administrator should know. */
  warn(text: string): void;
}

/** Listens, and keeps account of who is being served. */
export class Listener<Address extends ListenAddress> {
  readonly #options: ListenerOptions<Address>;
  readonly #servers: Server[] = [];
  readonly #served = new Map<Socket, Served>();
  readonly #clients = new Map<string, number>();
  /** Connections of clients that are exempt. */
  #exempt = 0;
  /** Clients that came before `serve`. */
  #early: [Socket, Address][] | null = [];
  /** Clients sent away since that was last said, and when it was. */
  #sentAway = 0;
  #sentAwaySaid = Number.NEGATIVE_INFINITY;
  #ending: (() => void) | null = null;

  constructor(options: ListenerOptions<Address>) {
    this.#options = options;
  }

  /** Binds all addresses; nothing is read from clients until `serve`. Throws an Error for a person. */
  async bind(): Promise<void> {
    for (const address of this.#options.listen) {
      const { host, port } = address;
      const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };
      const server = createServer(options, (socket) => this.#connected(socket, address));
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", (error) => reject(bindTrouble(error)));
        server.listen({ port, backlog: BACKLOG, ...(host === undefined ? {} : { host }) }, resolve);
      });
      // Accepting can fail for want of descriptors; those who are here go on.
      server.on("error", ({ message }) => this.#options.warn(`cannot accept: ${message}`));
    }
  }

  /** The ports that were bound, in the order of `listen`. */
  get ports(): number[] {
    return this.#servers.map((server) => {
      const address = server.address();
      return typeof address === "object" && address ? address.port : 0;
    });
  }

  /** How many are being served. */
  get size(): number {
    return this.#served.size;
  }

  /** Begins to talk, with those first who have come already. */
  serve(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const [socket, address] of early) this.#connected(socket, address);
  }

  /** Takes no more connections; resolves when what is under way is done, or `graceMs` are over. */
  async end(graceMs = END_MS): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const [socket] of this.#early ?? []) socket.destroy();
    if (this.#served.size === 0) return;
    const ended = new Promise<void>((resolve) => {
      this.#ending = resolve;
    });
    const timer = setTimeout(() => {
      for (const socket of this.#served.keys()) socket.destroy();
    }, graceMs);
    for (const served of this.#served.values()) served.stop();
    await ended;
    clearTimeout(timer);
  }

  #connected(socket: Socket, address: Address): void {
    if (this.#early) {
      this.#early.push([socket, address]);
      return;
    }
    socket.on("error", () => {});
    const ip = plainAddress(socket.remoteAddress ?? "");
    // A client that has gone already leaves no address.
    if (ip === "") socket.destroy();
    else this.#decide(socket, { ip, address });
  }

  #decide(socket: Socket, at: { readonly ip: string; readonly address: Address }): void {
    const exempt = this.#options.exempt?.(at.ip) ?? false;
    const why = this.#full(at.ip, exempt);
    if (why === null) this.#begin(socket, { ...at, exempt });
    else {
      this.#say(why);
      this.#sendAway(socket, at.address);
    }
  }

  /** Why `ip` finds no place; null when it does. */
  #full(ip: string, exempt: boolean): string | null {
    const { concurrency, perClient } = this.#options;
    if (this.#served.size >= concurrency) return `all ${concurrency} connections are in use`;
    if (exempt && this.#exempt >= exemptMax(concurrency)) {
      return `${this.#exempt} connections are of clients without a limit, the others are for others`;
    }
    const most = exempt ? Math.ceil(concurrency / 2) : perClient;
    const has = this.#clients.get(clientOf(ip)) ?? 0;
    return has < most ? null : `${ip} has its ${most} connections already`;
  }

  #begin(
    socket: Socket,
    { ip, address, exempt }: { readonly ip: string; readonly address: Address; exempt: boolean },
  ): void {
    const client = clientOf(ip);
    this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
    if (exempt) this.#exempt++;
    socket.once("close", () => this.#gone(socket, { client, exempt }));
    this.#served.set(socket, this.#options.connected(socket, { ip, address }));
    socket.resume();
  }

  #gone(
    socket: Socket,
    { client, exempt }: { readonly client: string; readonly exempt: boolean },
  ): void {
    this.#served.delete(socket);
    if (exempt) this.#exempt--;
    const left = (this.#clients.get(client) ?? 1) - 1;
    if (left > 0) this.#clients.set(client, left);
    else this.#clients.delete(client);
    if (this.#served.size === 0) this.#ending?.();
  }

  /** To wait would look like a dead server; with a word the client knows to come back. */
  #sendAway(socket: Socket, address: Address): void {
    const word = this.#options.busy(address);
    if (word === null) socket.destroy();
    else socket.end(word, () => socket.destroy());
  }

  /** Said now and then only: whoever fills the places could fill the log too. */
  #say(why: string): void {
    this.#sentAway++;
    const now = performance.now();
    if (now - this.#sentAwaySaid < SAY_AGAIN_MS) return;
    this.#options.warn(`${why}, sent away ${this.#sentAway}`);
    this.#sentAway = 0;
    this.#sentAwaySaid = now;
  }
}

/** A tenth is for others, and one at the least; of a single connection none. */
function exemptMax(concurrency: number): number {
  return Math.max(1, concurrency - Math.max(1, Math.floor(concurrency / 10)));
}

function bindTrouble(error: NodeJS.ErrnoException & { address?: string; port?: number }): Error {
  const { code, address = "", port = 0, message } = error;
  const where = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program does; stop it, or choose another port",
    EACCES: "only root may; start as root, or choose a port above 1023",
    EADDRNOTAVAIL: "this machine has no such address; choose one that it has",
  };
  return new Error(`cannot listen on ${where}: ${why[code ?? ""] ?? message}`, { cause: error });
}
