/**
 * What an action does to the files of a message (INTERNALS.md, "Actions"): the order that a crash cannot
 * hurt. The message has left todo, and nothing of it is under way. Knows neither sockets nor schedule, so
 * that a queue whose qmail-send is stopped is treated by the same code.
 */

import { existsSync, readFileSync } from "node:fs";
import { fmtqfn, type MessId } from "../queue/fmtqfn.ts";
import type { Action, Target, Verdict } from "./action.ts";
import { bounceEntry } from "./bounce.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";
import { RecipientFile } from "./recipient-file.ts";
import { type RewriteTables, type Rewritten, rewrite, stripPrepend } from "./rewrite.ts";

export interface QueueActionsContext {
  readonly files: QueueFiles;
  readonly log: (line: string) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Seconds after which a message is tried for the last time. */
  readonly lifetime: number;
  tables(): RewriteTables;
  /** Removes intd and mess of a message that is no more. */
  clean(message: Target): Promise<unknown>;
}

/** A recipient that an action is about. */
interface Hit extends Rewritten {
  readonly position: number;
}

/** What there is of a message's recipients. */
interface Recipients {
  /** Not done, and meant. */
  readonly hits: readonly Hit[];
  /** Not done, and not meant. */
  readonly others: readonly Rewritten[];
}

/** Verdict, and what is to be done now: nothing at all after the end; channels with a file; those due at once. */
export interface Result {
  readonly verdict: Verdict;
  readonly ended?: boolean;
  readonly open?: readonly Channel[];
  readonly due?: readonly Channel[];
}

const NOTHING_LEFT: Result = { verdict: { outcome: "gone" } };

export class QueueActions {
  readonly #context: QueueActionsContext;

  constructor(context: QueueActionsContext) {
    this.#context = context;
  }

  /** Does what `action` does to files. Rejects on trouble, with nothing changed that a retry would not mend. */
  act(action: Action & { type: "delete" | "bounce" | "redirect" | "expire" }, target: Target) {
    switch (action.type) {
      case "delete":
        return this.#delete(target);
      case "bounce":
        return this.#bounce(target, action.text);
      case "redirect":
        return this.#redirect(target, action.to);
      case "expire":
        return this.#expire(target.id);
    }
  }

  /** The recipients of the message that are not done. */
  undone(id: MessId): readonly Rewritten[] {
    return this.#recipients({ id, made: 0 }).hits;
  }

  async #delete(target: Target): Promise<Result> {
    const { id, recipients } = target;
    const { files, log: write, clean } = this.#context;
    const found = this.#recipients(target);
    if (recipients) {
      if (found.hits.length === 0) return NOTHING_LEFT;
      const open = await this.#markDone(id, found);
      write(log.action(id, "delete", found.hits.length));
      return done(found, { open });
    }
    const untold = this.#failures(id);
    if (found.hits.length === 0 && untold === 0) return NOTHING_LEFT;
    // From here on it is garbage, however little of the rest is removed.
    files.unlink("info", id);
    write(log.action(id, "delete", found.hits.length));
    write(log.endMsg(id));
    try {
      await files.syncInfo(id);
    } catch {
      write(log.warning(`unable to sync the removal of ${fmtqfn("info", id)}`));
    }
    files.forget(id);
    await clean(target);
    const verdict: Verdict = { outcome: "done", recipients: found.hits.length, untold };
    return { verdict, ended: true };
  }

  async #bounce(target: Target, text: string): Promise<Result> {
    const { files, log: write, tables } = this.#context;
    const { id } = target;
    const found = this.#recipients(target);
    if (found.hits.length === 0) return NOTHING_LEFT;
    const entries = found.hits.map(({ address }) => bounceEntry(tables(), address, text));
    await files.appendBounce(id, entries.join(""));
    const open = await this.#markDone(id, found);
    write(log.action(id, "bounce", found.hits.length));
    return done(found, { open });
  }

  /** First the new recipients are there, then the old ones are done: a crash between sends to both. */
  async #redirect(target: Target, to: string): Promise<Result> {
    const { files, log: write, now } = this.#context;
    const { id } = target;
    const found = this.#recipients(target);
    const moves = found.hits
      .map((hit) => ({ hit, to: this.#destination(hit, to) }))
      .filter(
        (move) => move.to.channel !== move.hit.channel || move.to.address !== move.hit.address,
      );
    if (moves.length === 0) return NOTHING_LEFT;
    const moved = new Set(moves.map(({ hit }) => hit));
    const known = new Set(
      [...found.others, ...found.hits.filter((hit) => !moved.has(hit))].map(key),
    );
    const due: Channel[] = [];
    for (const channel of CHANNELS) {
      const added = moves.filter((move) => move.to.channel === channel && isNew(known, move.to));
      if (added.length === 0) continue;
      // Of those that stay on this channel both halves are one step.
      const text = this.#records(
        channel,
        id,
        moves.filter(({ hit, to }) => to.channel === hit.channel).map(({ hit }) => hit),
      );
      const records = added.map((move) => `T${move.to.address}\0`).join("");
      await files.replace(channel, id, { text: text + records, retry: now() });
      due.push(channel);
    }
    const open = await this.#markDone(id, {
      hits: [...moved],
      others: [...found.others, ...moves.map((move) => move.to)],
    });
    for (const move of moves) write(log.redirect(id, move.hit, move.to));
    return { verdict: { outcome: "done", recipients: moves.length }, open, due };
  }

  async #expire(id: MessId): Promise<Result> {
    const { files, log: write, now, lifetime } = this.#context;
    const found = this.#recipients({ id, made: 0 });
    if (found.hits.length === 0) return NOTHING_LEFT;
    await files.setBirth(id, now() - lifetime - 1);
    write(log.action(id, "expire", found.hits.length));
    const open = openChannels(found.hits);
    return done(found, { open, due: open });
  }

  /** How many paragraphs there are for a bounce. */
  #failures(id: MessId): number {
    const path = this.#context.files.path("bounce", id);
    if (!existsSync(path)) return 0;
    return readFileSync(path, "latin1").match(/^<.*>:$/gm)?.length ?? 0;
  }

  #destination({ address }: Rewritten, to: string): Rewritten {
    const tables = this.#context.tables();
    if (!to.startsWith("@")) return rewrite(tables, to);
    const written = stripPrepend(tables.virtualdomains, address);
    return rewrite(tables, written.slice(0, written.lastIndexOf("@")) + to);
  }

  #recipients({ id, recipients }: Target): Recipients {
    const hits: Hit[] = [];
    const others: Rewritten[] = [];
    const wanted = recipients && this.#wanted(recipients);
    for (const channel of CHANNELS) {
      for (const { mark, address, position } of this.#read(channel, id)) {
        if (mark === "D") continue;
        if (!wanted || wanted.has(address)) hits.push({ channel, address, position });
        else others.push({ channel, address });
      }
    }
    return { hits, others };
  }

  /** The addresses in the form in which they stand in the files, and as they are written in todo. */
  #wanted(recipients: readonly string[]): ReadonlySet<string> {
    const tables = this.#context.tables();
    return new Set(recipients.flatMap((each) => [each, rewrite(tables, each).address]));
  }

  *#read(channel: Channel, id: MessId) {
    const path = this.#context.files.path(channel, id);
    if (!existsSync(path)) return;
    const file = new RecipientFile(path);
    try {
      for (let record = file.next(); record; record = file.next()) {
        if (record.mark !== "T" && record.mark !== "D") {
          throw new Error(`unknown record type in ${fmtqfn(channel, id)}`);
        }
        yield record;
      }
    } finally {
      file.close();
    }
  }

  /** The records of a channel as they are, but for `hits`, which are done. */
  #records(channel: Channel, id: MessId, hits: readonly Hit[]): string {
    const positions = new Set(
      hits.filter((hit) => hit.channel === channel).map(({ position }) => position),
    );
    let text = "";
    for (const { mark, address, position } of this.#read(channel, id)) {
      text += `${positions.has(position) ? "D" : mark}${address}\0`;
    }
    return text;
  }

  /** Marks `hits`, durable when this resolves, with the channels that have somebody left; of others the file goes. */
  async #markDone(id: MessId, { hits, others }: Recipients): Promise<readonly Channel[]> {
    const { files } = this.#context;
    for (const channel of CHANNELS) {
      const marked = hits.filter((hit) => hit.channel === channel);
      if (marked.length === 0) continue;
      const file = new RecipientFile(files.path(channel, id));
      try {
        for (const { position } of marked) file.markDone(position);
        await file.sync();
      } finally {
        file.close();
      }
    }
    const open = openChannels(others);
    for (const channel of CHANNELS) if (!open.includes(channel)) files.unlink(channel, id);
    return open;
  }
}

function done({ hits }: Recipients, rest: Omit<Result, "verdict">): Result {
  return { verdict: { outcome: "done", recipients: hits.length }, ...rest };
}

function openChannels(recipients: readonly Rewritten[]): readonly Channel[] {
  return CHANNELS.filter((channel) => recipients.some((each) => each.channel === channel));
}

function key({ channel, address }: Rewritten): string {
  return `${channel} ${address}`;
}

/** True for who gets the message only now; asked a second time, no more. */
function isNew(known: Set<string>, recipient: Rewritten): boolean {
  if (known.has(key(recipient))) return false;
  known.add(key(recipient));
  return true;
}
