/** Mail at full speed through a qmail-send, with clients that do everything to it that can be asked for. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fmtqfn, isMessId, SPLIT, splitOf } from "../../../qmail/queue/fmtqfn.ts";
import { readHeld } from "../../../qmail/queue/held.ts";
import { networkQueue } from "../../../qmail/queue/network-queue.ts";
import { type QueuedMessage, readMessage, readQueue } from "../../../qmail/queue/queue-read.ts";
import type { Action, Target } from "../../../qmail/send/action.ts";
import type { Answer } from "../../../qmail/send/action-protocol.ts";
import { CHANNELS } from "../../../qmail/send/log.ts";
import { SPAWN } from "../../../qmail/spawn/protocol.ts";
import type { Chance } from "../../torture/chance.ts";
import { connectTo } from "./_actions.ts";
import { ASKED, Ledger, nameOf } from "./_ledger.ts";
import { type Order, SendRig } from "./_send.ts";

/** Where recipients are: two remote domains, one local, one virtual. */
const DOMAINS = ["far.test", "near.test", "mail.test", "virtual.test"];
const SENDER = "from.test";
/** More messages than this wait for others to go. */
const QUEUED_MAX = 400;
const SENDERS = 8;

const ACTIONS: readonly ((chance: Chance) => Action)[] = [
  () => ({ type: "delete" }),
  () => ({ type: "bounce", text: `${ASKED}\n` }),
  () => ({ type: "hold" }),
  () => ({ type: "release" }),
  () => ({ type: "retry" }),
  (chance) => ({ type: "redirect", to: `@${DOMAINS[chance.below(DOMAINS.length)]}` }),
  () => ({ type: "expire" }),
];

export class Stress {
  readonly rig = new SendRig({
    locals: "mail.test\n",
    virtualdomains: "virtual.test:virt\n",
    concurrencylocal: "20\n",
    concurrencyremote: "40\n",
  });
  readonly ledger = new Ledger();
  readonly #chance: Chance;
  /** Log lines of earlier runs of qmail-send. */
  readonly #log: string[] = [];
  #number = 0;
  /** Messages go in and clients act. */
  busy = true;
  /** Everything is delivered at once. */
  #kind = false;

  constructor(chance: Chance) {
    this.#chance = chance;
    this.rig.spawner = (order) => void this.#deliver(order);
  }

  get log(): readonly string[] {
    return [...this.#log, ...this.rig.lines];
  }

  /** An orderly stop in the middle of everything, and a start. */
  async restart(): Promise<void> {
    this.rig.signal("SIGTERM");
    await this.rig.exit();
    this.#keepLog();
    await this.rig.start();
  }

  /** As arguments of one call they could be too many. */
  #keepLog(): void {
    for (const line of this.rig.lines) this.#log.push(line);
  }

  /** Kills qmail-send and the queue server where they stand, and starts them again. */
  async crash(): Promise<void> {
    this.rig.kill();
    await this.rig.exit();
    this.#keepLog();
    await this.rig.start();
  }

  /** Puts messages in until `busy` is over. */
  async send(): Promise<void> {
    const queue = networkQueue(this.rig.home);
    const one = async () => {
      while (this.busy) {
        if (this.rig.messages() > QUEUED_MAX) await sleep(20);
        else await this.#sendOne(queue);
      }
    };
    await queue.connect();
    await Promise.all(Array.from({ length: SENDERS }, one));
    queue.end();
  }

  async #sendOne(queue: ReturnType<typeof networkQueue>): Promise<void> {
    await queue.connect();
    const number = ++this.#number;
    const count = 1 + this.#chance.below(this.#chance.below(4) === 0 ? 8 : 2);
    const names = Array.from({ length: count }, (_, at) => `m${number}r${at}`);
    const sender = `m${number}@${SENDER}`;
    this.ledger.sent(sender, names);
    const message = queue.open();
    message.put(Buffer.from(`Subject: ${number}\n\nbody\n`));
    const addresses = names.map((name) => `${name}@${DOMAINS[this.#chance.below(DOMAINS.length)]}`);
    const result = await message.close(sender, addresses);
    // Not accepted for certain, and then perhaps in the queue all the same: a door that closes in a restart.
    if (!result.ok) this.ledger.unknown.add(sender);
  }

  /** A client that acts until `busy` is over. */
  async act(): Promise<void> {
    let client = await connectTo(this.rig);
    while (this.busy) {
      const action = (ACTIONS[this.#chance.below(ACTIONS.length)] as (typeof ACTIONS)[number])(
        this.#chance,
      );
      const seen = this.#choose(action);
      const wait = this.#chance.below(3);
      for (const { sender, names } of seen) this.ledger.asked(sender, action, names);
      try {
        for await (const answer of client.act(
          action,
          seen.map(({ target }) => target),
          wait,
        )) {
          const one = seen.find(
            ({ target }) => target.id === answer.id && target.made === answer.made,
          ) as Seen;
          this.#judge(action, one, answer);
        }
      } catch {
        // It is being started again. An orderly stop answers for everything that it has done.
        for (client = null as never; !client; ) client = await this.#reconnect();
      }
      await sleep(this.#chance.below(20));
    }
    client.close();
  }

  async #reconnect() {
    await sleep(50);
    try {
      return await connectTo(this.rig);
    } catch {
      return null as never;
    }
  }

  /** Some messages of the queue, and some of their recipients. */
  #choose(action: Action): Seen[] {
    const chance = this.#chance;
    const seen: Seen[] = [];
    const most = 1 + chance.below(chance.below(5) === 0 ? 60 : 6);
    const skip = chance.below(3);
    for (const message of readQueue(this.rig.queue)) {
      if (message.state === "vanished" || message.state === "odd" || message.sender === "")
        continue;
      if (chance.below(8) > skip) continue;
      seen.push(this.#look(message, action));
      if (seen.length >= most) break;
    }
    return seen;
  }

  #look(message: QueuedMessage, { type }: Action): Seen {
    const { id, made, sender, recipients } = message;
    const wise = type === "delete" || type === "bounce" || type === "redirect";
    const some = wise && recipients.length > 1 && this.#chance.below(2) === 0;
    const meant = some ? recipients.filter(() => this.#chance.below(2) === 0) : recipients;
    const addresses = meant.map(({ address }) => address);
    return {
      target: some ? { id, made, recipients: addresses } : { id, made },
      sender,
      names: some ? addresses.map(nameOf) : this.ledger.namesOf(sender),
    };
  }

  /** The answer is in the book, and is true: its file says so, unless another action has come since. */
  #judge(action: Action, seen: Seen, answer: Answer): void {
    const { target, sender, names } = seen;
    this.ledger.answered(sender, { action, answer, names });
    if (answer.outcome !== "done") return;
    const now = readMessage(this.rig.queue, target.id);
    const same = now && now.made === target.made && now.sender === sender ? now : null;
    const wrong = (what: string) =>
      this.ledger.faults.push(`${action.type} of ${target.id}: ${what}`);
    if (action.type === "delete" && !target.recipients && same) wrong("it is still there");
    if (action.type !== "bounce" || target.recipients) return;
    const left = same?.recipients.filter(({ done }) => !done).map(({ address }) => address);
    if (left && left.length > 0) wrong(`${left} are not done`);
  }

  async #deliver(order: Order): Promise<void> {
    const chance = this.#chance;
    const { sender, recipient, report, messid } = order;
    if (sender === "") {
      this.ledger.returned(recipient, this.rig.read("mess", messid));
      report("Kfine\n");
      return;
    }
    const slow = chance.below(50) === 0 && !this.#kind;
    await sleep(slow ? 200 + chance.below(2000) : chance.below(5));
    const fate = this.#kind ? 0 : chance.below(10);
    if (fate < 4) {
      this.ledger.delivered(sender, recipient);
      report("Kfine\n");
    } else report(fate < 9 ? "Znot now\n" : "Dnever\n");
  }

  /** The remote spawner has enough of a domain now and then. */
  async hold(): Promise<void> {
    const link = () => this.rig.link("remote");
    while (this.busy) {
      const domain = DOMAINS[this.#chance.below(2)] as string;
      link().send(SPAWN.hold, 0, domain);
      await sleep(this.#chance.below(200));
      link().send(SPAWN.free, 0, domain);
      await sleep(this.#chance.below(200));
    }
  }

  /** Everything is released and delivered, until nothing is left. */
  async drain(): Promise<void> {
    this.#kind = true;
    const client = await connectTo(this.rig);
    for (const domain of DOMAINS) this.rig.link("remote").send(SPAWN.free, 0, domain);
    const deadline = performance.now() + 120_000;
    for (let left = this.#left(); left.length > 0; left = this.#left()) {
      if (performance.now() > deadline)
        assert.fail(`these stay:\n${left.map((id) => this.#story(id))}`);
      const targets = [...readHeld(this.rig.home)].map(([id, made]): Target => ({ id, made }));
      for await (const _ of client.act({ type: "release" }, targets, 60));
      await client.flush();
      await sleep(100);
    }
    client.close();
  }

  /** All that can be told of a message. */
  #story(id: string): string {
    const held = readHeld(this.rig.home).get(id);
    const about = this.log.filter((line) => line.includes(`msg ${id}`)).slice(-12);
    const message = readMessage(this.rig.queue, id);
    return `${JSON.stringify(message)}\nheld: ${held}\n${about.join("\n")}\n`;
  }

  #left(): string[] {
    return Array.from(readQueue(this.rig.queue), ({ id }) => id);
  }
}

interface Seen {
  readonly target: Target;
  readonly sender: string;
  readonly names: readonly string[];
}

/** Messages that were being put in when their door closed: only mess files are left of them. */
export function begun(queue: string): string[] {
  const numbers: string[] = [];
  for (let split = 0; split < SPLIT; split++) {
    for (const id of readdirSync(`${queue}/mess/${split}`)) {
      const text = readFileSync(`${queue}/mess/${split}/${id}`, "latin1");
      numbers.push(/^Subject: (\d+)$/m.exec(text)?.[1] ?? text);
      unlinkSync(`${queue}/mess/${split}/${id}`);
      rmSync(`${queue}/intd/${id}`, { force: true });
    }
  }
  return numbers.map((number) => `m${number}@${SENDER}`);
}

/** What is wrong with the files of a queue at any moment (INTERNALS.md): each message is in one of its states. */
export function unlawful(queue: string): string[] {
  const wrong: string[] = [];
  const has = (directory: Parameters<typeof fmtqfn>[0], id: string) =>
    existsSync(`${queue}/${fmtqfn(directory, id)}`);
  for (const directory of ["info", ...CHANNELS, "mess"] as const) {
    for (let split = 0; split < SPLIT; split++) {
      for (const name of readdirSync(`${queue}/${directory}/${split}`)) {
        const id = name.replace(/\.new$/, "");
        const path = `${queue}/${directory}/${split}/${name}`;
        if (!isMessId(id) || splitOf(id) !== split) wrong.push(`stray ${path}`);
        else if (directory === "mess") {
          if (String(statSync(path).ino) !== id) wrong.push(`number of ${path}`);
        } else if (!has("mess", id)) wrong.push(`${path} without mess`);
        else if (name === id && has("info", id) && !has("todo", id)) {
          const text = readFileSync(path, "latin1");
          const form = directory === "info" ? /^F[^\0]*\0$/ : /^([TD][^\0]+\0)+$/;
          if (!form.test(text)) wrong.push(`${path}: ${JSON.stringify(text)}`);
        }
      }
    }
  }
  for (const id of readdirSync(`${queue}/todo`))
    if (!has("mess", id)) wrong.push(`todo ${id} without mess`);
  return wrong;
}

/** What the log says against what was asked for: no delivery of a held message is begun, nor of one that has ended. */
export function begunAgainstOrders(log: readonly string[]): string[] {
  const held = new Set<string>();
  const ended = new Set<string>();
  const wrong: string[] = [];
  for (const [at, line] of log.entries()) {
    const [, id = ""] = /\bmsg (\d+)/.exec(line) ?? [];
    if (line.startsWith("new msg") || line.startsWith("action release")) held.delete(id);
    if (line.startsWith("new msg")) ended.delete(id);
    if (line.startsWith("action hold")) held.add(id);
    if (line.startsWith("end msg")) ended.add(id);
    if (!line.startsWith("starting") || !(held.has(id) || ended.has(id))) continue;
    const trail = log.slice(0, at + 1).filter((each) => each.includes(`msg ${id}`));
    wrong.push(trail.slice(-12).join("\n"));
  }
  return wrong;
}
