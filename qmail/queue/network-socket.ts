/**
 * The socket of the network daemons. Root binds it, in a directory of its own, and gives it to qmaild: nobody else can
 * connect, of whatever group. Who comes before the doors open waits.
 */

import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Ids } from "../ids.ts";
import { NETWORK_SOCKET } from "./protocol.ts";

export class NetworkSocket {
  readonly #server: Server;
  #early: Socket[] | null = [];
  #connected: (socket: Socket) => void = () => {};

  private constructor() {
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#come(socket));
  }

  /** Works in the current directory, which is the qmail home. Rejects when it cannot be bound. */
  static async bind({ uid, gid }: Ids): Promise<NetworkSocket> {
    const bound = new NetworkSocket();
    const server = bound.#server;
    // Left by a crash. Its maker has gone: the lock of the queue is ours.
    rmSync(NETWORK_SOCKET, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(NETWORK_SOCKET, resolve);
    });
    chmodSync(NETWORK_SOCKET, 0o600);
    if (process.getuid?.() === 0) chownSync(NETWORK_SOCKET, uid.qmaild, gid.nofiles);
    return bound;
  }

  /** Gives all who have come and come to `door`. */
  serve(door: { prepare(server: Server): void; connected(socket: Socket): void }): void {
    door.prepare(this.#server);
    this.#connected = (socket) => door.connected(socket);
    const early = this.#early ?? [];
    this.#early = null;
    for (const socket of early) this.#come(socket);
  }

  #come(socket: Socket): void {
    if (this.#early) {
      socket.on("error", () => {});
      this.#early.push(socket);
    } else {
      this.#connected(socket);
      socket.resume();
    }
  }
}
