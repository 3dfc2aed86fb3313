/** Many clients at once: over SMTP, the network daemons' door and drop; in all sizes, slow ones, some that leave. And posts to lists. */

import { setTimeout as sleep } from "node:timers/promises";
import { localQueue } from "../../qmail/queue/local-queue.ts";
import { type NetworkQueue, networkQueue } from "../../qmail/queue/network-queue.ts";
import type { QueueDoor } from "../../qmail/queue/qmail.ts";
import { Chance } from "./chance.ts";
import { type MailLedger, makePost, type Post } from "./mail-ledger.ts";
import { HungUp, type Manners, SmtpClient } from "./smtp-client.ts";

export interface FloodOptions {
  readonly home: string;
  readonly port: number;
  readonly seed: number;
  readonly clients: number;
  /** A client waits for up to so many milliseconds before its next message: some come while all others wait. */
  readonly pauseMs: number;
  /** So many of a hundred messages have a recipient who has to wait. */
  readonly waits: number;
  /** Recipients of a post to a list; 0: no lists. */
  readonly list: number;
  readonly listMs: number;
  readonly ledger: MailLedger;
  /** Told of what was sent and answered. */
  readonly note: (text: string) => void;
}

const RECIPIENTS_MAX = 5;
/** Who was refused waits so long. */
const REFUSED_MS = 200;
/** A connection sends at most so many messages. */
const MESSAGES_MAX = 20;
/** An abrupt end comes with so many of a hundred messages; a slow sender too. */
const LEAVES = 3;
const SLOW = 2;

/** Clients until `end`. */
export class Flood {
  readonly #options: FloodOptions;
  readonly #network: NetworkQueue;
  readonly #local: QueueDoor;
  readonly #work: Promise<void>[] = [];
  #on = true;

  constructor(options: FloodOptions) {
    this.#options = options;
    this.#network = networkQueue(options.home);
    this.#local = localQueue(options.home, {});
    void this.#network.connect();
    for (let number = 0; number < options.clients; number++) {
      this.#work.push(this.#client(number));
    }
    if (options.list > 0) this.#work.push(this.#lists());
  }

  /** Resolves when nobody sends any more. */
  async end(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#work);
    this.#network.end();
  }

  async #client(number: number): Promise<void> {
    const chance = new Chance(this.#options.seed * 1000 + number);
    let smtp = await this.#connect();
    for (let count = 0; this.#on; count++) {
      const token = `${number}x${count}`;
      const post = makePost(token, {
        count: 1 + chance.below(RECIPIENTS_MAX),
        size: sizeOf(chance),
        waits: chance.below(100) < this.#options.waits,
      });
      const door = chance.below(10);
      let ok: boolean;
      if (door === 0) ok = await this.#put(this.#local, post);
      else if (door < 3) ok = await this.#put(this.#network, post);
      else {
        smtp = smtp?.gone === false ? smtp : await this.#connect();
        ok = smtp !== null && (await this.#send(smtp, post, mannersOf(chance)));
        if (count % MESSAGES_MAX === 0 && smtp?.gone === false) await smtp.quit();
      }
      const pause = chance.below(this.#options.pauseMs + 1);
      if (!ok || pause > 0) await sleep(Math.max(pause, ok ? 0 : REFUSED_MS));
    }
    if (smtp?.gone === false) await smtp.quit();
  }

  /** A connection; null when there is none now. */
  async #connect(): Promise<SmtpClient | null> {
    try {
      return await SmtpClient.connect(this.#options.port);
    } catch (error) {
      if (error instanceof HungUp) return null;
      throw error;
    }
  }

  async #send(smtp: SmtpClient, post: Post, manners: Manners): Promise<boolean> {
    const { ledger, note } = this.#options;
    ledger.sent(post);
    try {
      const ok = await smtp.send(post, manners);
      ledger.answered(post.token, ok ? "accepted" : "refused");
      note(`${post.token} ${ok ? "accepted" : "refused"} (smtp)`);
      return ok;
    } catch (error) {
      if (!(error instanceof HungUp)) throw error;
      // Of half a message nothing may arrive.
      ledger.answered(post.token, manners.leaves === "half" ? "refused" : "unheard");
      note(`${post.token} unheard (smtp)`);
      smtp.destroy();
      return false;
    }
  }

  async #put(door: QueueDoor, post: Post): Promise<boolean> {
    const { ledger, note } = this.#options;
    ledger.sent(post);
    const message = door.open();
    message.put(post.text);
    const result = await message.close(post.sender, post.recipients);
    ledger.answered(post.token, result.ok ? "accepted" : "refused");
    const way = door === this.#local ? "drop" : "network";
    note(`${post.token} ${result.ok ? `accepted, qp ${result.qp}` : "refused"} (${way})`);
    return result.ok;
  }

  async #lists(): Promise<void> {
    const { list, listMs } = this.#options;
    for (let count = 0; this.#on; count++) {
      const next = sleep(listMs);
      await this.#put(this.#network, makePost(`list${count}`, { count: list, size: 1000 }));
      await next;
    }
  }
}

/** Most messages are small, some are larger than what is kept in memory, or as a spare, or travels with an order. */
function sizeOf(chance: Chance): number {
  const kind = chance.below(100);
  if (kind < 70) return 200 + chance.below(2000);
  if (kind < 90) return 2000 + chance.below(20_000);
  if (kind < 97) return 20_000 + chance.below(80_000);
  return 100_000 + chance.below(300_000);
}

function mannersOf(chance: Chance): Manners {
  const kind = chance.below(100);
  if (kind < LEAVES) return { leaves: chance.below(2) === 0 ? "half" : "end" };
  if (kind >= LEAVES + SLOW) return {};
  return { slow: { pieces: 8, pauseMs: 10 + chance.below(500) } };
}
