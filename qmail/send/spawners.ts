/** qmail-lspawn and qmail-rspawn as qmail-send knows them: when they are there, what they ask for, what they are told. */

import type { Socket } from "node:net";
import { formatUint32, heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { FROM_SPAWNER, SPAWN } from "../spawn/protocol.ts";
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
    // Of a longer one nobody knows anything.
    if (domain.length <= SPAWN.flush.max) this.#links.remote.send(SPAWN.flush, 0, domain);
  }

  /** No more deliveries will come: what can be put off is to be put off soon. */
  leave(): void {
    for (const channel of CHANNELS) this.#links[channel].send(SPAWN.leave, 0);
  }

  end(): void {
    for (const channel of CHANNELS) this.#links[channel].end();
  }

  #link(channel: Channel, socket: Socket): Link {
    const { deliveries, holds, changed, gone } = this.#context;
    const link: Link = new Link(socket, {
      hears: heard(FROM_SPAWNER, {
        hello: (most) => {
          // Once: it begins everything.
          if (this.#connected.has(channel)) return link.refuse("hello twice");
          this.#hello(channel, most);
          changed();
        },
        report: (report, delnum) => {
          if (!deliveries.report(channel, delnum, report)) link.refuse("a report of no delivery");
          changed();
        },
        waits: ({ yes }, delnum) => {
          deliveries.waits(channel, delnum, yes);
          changed();
        },
        hold: (host) => holds[channel].hold(host),
        free: (host) => {
          holds[channel].free(host);
          changed();
        },
      }),
      close: () => {
        holds[channel].freeAll();
        deliveries.disconnect(channel);
        gone(this.#connected.has(channel));
      },
    });
    return link;
  }

  #hello(channel: Channel, most: number): void {
    const { deliveries, concurrency, ready } = this.#context;
    const limit = Math.min(concurrency[channel], most);
    this.#links[channel].send(SPAWN.limit, 0, formatUint32(limit));
    deliveries.connect(channel, this.#links[channel], limit);
    this.#connected.add(channel);
    if (this.#connected.size === CHANNELS.length) ready();
  }
}
