/** Others who have to do with a queue while mail flows: C qmail's programs, and administrators. */

import {
  closeSync,
  fstatSync,
  fsync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { formatTodo } from "../../qmail/queue/envelope.ts";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import { madeOf } from "../../qmail/queue/made.ts";
import type { Action, Target } from "../../qmail/send/action.ts";
import { ActionClient, LostError } from "../../qmail/send/action-client.ts";
import type { Chance } from "./chance.ts";
import { type MailLedger, makePost, type Post } from "./mail-ledger.ts";
import type { OrderSite } from "./order-site.ts";

const synced = promisify(fsync);

/** Something that is done again and again until it is ended. */
export class Repeated {
  readonly #work: Promise<void>;
  #on = true;

  /** Does `act` so many times a second, one at a time. */
  constructor(aSecond: number, act: () => void | Promise<void>) {
    this.#work = this.#repeat(1000 / aSecond, act);
  }

  async #repeat(ms: number, act: () => void | Promise<void>): Promise<void> {
    while (this.#on) {
      const next = sleep(ms);
      await act();
      await next;
    }
  }

  async end(): Promise<void> {
    this.#on = false;
    await this.#work;
  }
}

/** Puts messages in as C's qmail-queue does: the files, the link, the trigger; nobody is asked. */
export class ForeignQueue {
  readonly #site: OrderSite;
  readonly #ledger: MailLedger;
  readonly #chance: Chance;
  #count = 0;

  constructor(site: OrderSite, ledger: MailLedger, chance: Chance) {
    this.#site = site;
    this.#ledger = ledger;
    this.#chance = chance;
  }

  async put(): Promise<void> {
    const token = `c${++this.#count}`;
    const post = makePost(token, { count: 1 + this.#chance.below(3), size: 1000 });
    this.#ledger.sent(post);
    const made = await this.#queue(post).catch(() => null);
    this.#ledger.answered(token, made === null ? "refused" : "accepted");
    this.#site.note(`${token} ${made === null ? "refused" : `accepted as ${made}`} (C)`);
  }

  /** The number that the message has. Rejects when a name is taken. */
  async #queue({ text, sender, recipients }: Post): Promise<string> {
    const queue = join(this.#site.home, "queue");
    const pid = `${queue}/pid/c.${process.pid}.${this.#count}`;
    const mess = openSync(pid, "wx", 0o644);
    const id = String(fstatSync(mess, { bigint: true }).ino);
    const path = (directory: "mess" | "intd" | "todo") => `${queue}/${fmtqfn(directory, id)}`;
    const made: string[] = [];
    const files = [mess];
    try {
      linkSync(pid, path("mess"));
      made.push(path("mess"));
      unlinkSync(pid);
      const received = "Received: (qmail 1 invoked by uid 0); 1 Jan 2026 00:00:00 -0000\n";
      writeSync(mess, Buffer.concat([Buffer.from(received), text]));
      await synced(mess);
      const intd = openSync(path("intd"), "wx", 0o644);
      files.push(intd);
      made.push(path("intd"));
      writeSync(intd, formatTodo({ sender, recipients, uid: 0, pid: 1 }));
      await synced(intd);
      linkSync(path("intd"), path("todo"));
      this.#site.pull();
      return id;
    } catch (error) {
      for (const each of made.reverse()) unlinkOld(each);
      unlinkOld(pid);
      throw error;
    } finally {
      for (const fd of files) closeSync(fd);
    }
  }
}

function unlinkOld(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Not there.
  }
}

/** What administrators do, and how often of a hundred times. */
const ACTS: readonly (readonly [number, Action["type"] | "flush"])[] = [
  [35, "retry"],
  [50, "flush"],
  [65, "hold"],
  [80, "release"],
  [88, "delete"],
  [95, "bounce"],
  [100, "expire"],
];
/** Of what is in the queue so many at most are acted upon, but by what means all. */
const FEW = 20;

interface Seen extends Target {
  readonly token: string;
}

/** An administrator with `qmailctl queue`. */
export class Administrator {
  readonly #site: OrderSite;
  readonly #ledger: MailLedger;
  readonly #chance: Chance;
  done = 0;

  constructor(site: OrderSite, ledger: MailLedger, chance: Chance) {
    this.#site = site;
    this.#ledger = ledger;
    this.#chance = chance;
  }

  /** One command, whatever it may be. */
  async act(): Promise<void> {
    const number = this.#chance.below(100);
    const type = ACTS.find(([most]) => number < most)?.[1] ?? "flush";
    if (type === "flush") this.#site.flush();
    else await this.#command(type);
  }

  /** Lets go of everything that is held. */
  async release(): Promise<void> {
    await this.#command("release");
  }

  async #command(type: Action["type"]): Promise<void> {
    const all = this.#seen();
    const many = type === "retry" || type === "release";
    const targets = many ? all : this.#chance.shuffle(all).slice(0, 1 + this.#chance.below(FEW));
    const ends = type === "delete" || type === "bounce" || type === "expire";
    const open = new Map(targets.map((target) => [target.id, target.token]));
    const client = await ActionClient.connect(this.#site.home).catch(() => null);
    if (!client) return;
    const wait = this.#chance.below(3);
    this.#site.note(`${type} ${targets.map(({ id, token }) => `${id}=${token}`).join(" ")}`);
    try {
      const bare = targets.map(({ id, made }) => ({ id, made }));
      for await (const answer of client.act(actionOf(type), bare, wait)) {
        this.done++;
        if (ends && answer.outcome === "done") this.#ledger.ended(open.get(answer.id) ?? "");
        open.delete(answer.id);
        if (!many)
          this.#site.note(`${type} ${answer.id}: ${answer.outcome} ${answer.reason ?? ""}`);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
      // Done or not: nobody knows.
      if (ends) for (const token of open.values()) this.#ledger.ended(token);
    } finally {
      client.close();
    }
  }

  /** The messages in mess/, each as one descriptor shows it. */
  #seen(): Seen[] {
    const mess = join(this.#site.home, "queue/mess");
    return readdirSync(mess).flatMap((part) =>
      readdirSync(join(mess, part)).flatMap((id) => this.#look(join(mess, part, id), id) ?? []),
    );
  }

  #look(path: string, id: string): Seen | null {
    try {
      const made = madeOf(statSync(path));
      const text = readFileSync(path, "latin1");
      const token = /^X-Token: (\S+)$/m.exec(text)?.[1];
      // Changed hands between.
      if (token === undefined || madeOf(statSync(path)) !== made) return null;
      return { id, made, token };
    } catch {
      return null;
    }
  }
}

function actionOf(type: Action["type"]): Action {
  if (type === "bounce") return { type, text: "Returned." };
  if (type === "redirect") return { type, to: "nobody" };
  return { type };
}
