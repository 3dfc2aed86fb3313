/**
 * The socket of the network daemons. Root binds it, in a directory of its own, and gives it to qmaild: nobody else can
 * connect, of whatever group. Who comes before the doors open waits.
 */

import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { Ids } from "../ids.ts";
import { NETWORK_SOCKET } from "./protocol.ts";

export class NetworkDoor {
  #early: Socket[] | null = [];
  #connected: (socket: Socket) => void = () => {};

  /** Works in the current directory, which is the qmail home. Rejects when it cannot be bound. */
  static async bind({ uid, gid }: Ids): Promise<NetworkDoor> {
    const door = new NetworkDoor();
    // Left by a crash. Its maker has gone: the lock of the queue is ours.
    rmSync(NETWORK_SOCKET, { force: true });
    const server = createServer({ pauseOnConnect: true }, (socket) => door.#come(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(NETWORK_SOCKET, resolve);
    });
    chmodSync(NETWORK_SOCKET, 0o600);
    if (process.getuid?.() === 0) chownSync(NETWORK_SOCKET, uid.qmaild, gid.nofiles);
    return door;
  }

  /** Opens: `connected` is called for each who has come and comes, and reads. */
  serve(connected: (socket: Socket) => void): void {
    this.#connected = connected;
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
