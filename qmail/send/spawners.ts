/** qmail-lspawn and qmail-rspawn as qmail-send knows them: when they are there, what they ask for, what they are told. */

import type { Socket } from "node:net";
import { Link } from "../net/link.ts";
import { SPAWN } from "../spawn/protocol.ts";
import type { Deliveries } from "./delivery.ts";
import type { Holds } from "./holds.ts";
import { CHANNELS, type Channel } from "./log.ts";

export interface SpawnersContext {
  readonly deliveries: Deliveries;
  /** What the spawners ask us to wait with. */
  readonly holds: Readonly<Record<Channel, Pick<Holds<unknown>, "hold" | "free" | "freeAll">>>;
  /** Deliveries at once, as configured. */
  readonly concurrency: Readonly<Record<Channel, number>>;
  /** Both are there. */
  ready(): void;
  /** One is gone that was there, or one that never was. */
  gone(wasThere: boolean): void;
  /** Something has come: a turn is wanted. */
  changed(): void;
}

export class Spawners {
  readonly #context: SpawnersContext;
  readonly #links: Readonly<Record<Channel, Link>>;
  readonly #connected = new Set<Channel>();

  constructor(sockets: Readonly<Record<Channel, Socket>>, context: SpawnersContext) {
    this.#context = context;
    this.#links = {
      local: this.#link("local", sockets.local),
      remote: this.#link("remote", sockets.remote),
    };
  }

  /** `domain`, or "" for all, is to be tried whatever is known against its servers. */
  flush(domain: string): void {
    this.#links.remote.send(SPAWN.flush, 0, domain);
  }

  /** No more deliveries will come: what can be put off is to be put off soon. */
  leave(): void {
    for (const channel of CHANNELS) this.#links[channel].send(SPAWN.leave, 0, "");
  }

  end(): void {
    for (const channel of CHANNELS) this.#links[channel].end();
  }

  #link(channel: Channel, socket: Socket): Link {
    const { deliveries, holds, changed, gone } = this.#context;
    return new Link(socket, {
      frame: (type, id, payload) => {
        if (type === SPAWN.hello) this.#hello(channel, payload.readUInt32BE(0));
        else if (type === SPAWN.report) deliveries.report(channel, id, payload);
        else if (type === SPAWN.waits)
          deliveries.waits(channel, id, payload.toString("latin1") === "1");
        else if (type === SPAWN.hold) holds[channel].hold(payload.toString("latin1"));
        else if (type === SPAWN.free) holds[channel].free(payload.toString("latin1"));
        changed();
      },
      close: () => {
        holds[channel].freeAll();
        deliveries.disconnect(channel);
        gone(this.#connected.has(channel));
      },
    });
  }

  #hello(channel: Channel, most: number): void {
    const { deliveries, concurrency, ready } = this.#context;
    deliveries.connect(channel, this.#links[channel], Math.min(concurrency[channel], most));
    this.#connected.add(channel);
    if (this.#connected.size === CHANNELS.length) ready();
  }
}
