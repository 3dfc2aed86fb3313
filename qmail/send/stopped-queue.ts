/**
 * Actions on a queue whose qmail-send is stopped: under its lock, by the same steps (queue-actions.ts).
 * Whoever holds lock/sendmutex is the only one that changes what is scheduled. New mail may come in meanwhile.
 *
 * Root does it all as the users whose files these are: their directories may hold links that they have put there.
 */

import { closeSync, openSync, readFileSync } from "node:fs";
import { Control } from "../control/control.ts";
import { asUser, becomeUser } from "../files/as-user.ts";
import type { FileOwner } from "../files/atomic.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import { lockExclusive } from "../files/lock.ts";
import { type Ids, readIds } from "../ids.ts";
import { parseTodo } from "../queue/envelope.ts";
import { fmtqfn, type MessId } from "../queue/fmtqfn.ts";
import { type Held, HeldFile } from "../queue/held.ts";
import type { Action, Target, Verdict } from "./action.ts";
import type { Answer } from "./action-protocol.ts";
import { readControls } from "./controls.ts";
import { CHANNELS } from "./log.ts";
import { QueueActions } from "./queue-actions.ts";
import { QueueFiles } from "./queue-files.ts";
import { type RewriteTables, rewrite } from "./rewrite.ts";
import { settlement } from "./straight.ts";

const HELD: Verdict = { outcome: "refused", reason: "it is held: release it first" };
const NOT_HELD: Verdict = { outcome: "refused", reason: "it is not held" };

export class StoppedQueue {
  readonly #mutex: number;
  readonly #qmails: FileOwner;
  readonly #qmailq: FileOwner;
  readonly #files: QueueFiles;
  readonly #actions: QueueActions;
  readonly #tables: RewriteTables;
  readonly #heldFile: HeldFile;
  readonly #held: Held;

  /** The queue of the installation `home`, for us alone; null when a qmail-send has it. Throws on trouble. */
  static lock(home: string, ids: Ids = readIds(home)): StoppedQueue | null {
    const qmails = { uid: ids.uid.qmails, gid: ids.gid.qmail };
    const mutex = asUser(qmails, () => openSync(`${home}/queue/lock/sendmutex`, "r+"));
    try {
      if (lockExclusive(mutex)) return new StoppedQueue(home, ids, mutex);
    } catch (error) {
      closeSync(mutex);
      throw error;
    }
    closeSync(mutex);
    return null;
  }

  private constructor(home: string, { uid, gid }: Ids, mutex: number) {
    const queue = `${home}/queue`;
    const { lifetime, tables } = readControls(new Control(home));
    this.#mutex = mutex;
    this.#qmails = { uid: uid.qmails, gid: gid.qmail };
    this.#qmailq = { uid: uid.qmailq, gid: gid.qmail };
    this.#tables = tables;
    this.#files = new QueueFiles(queue, new GroupSync(), fsyncCarriesName(queue));
    this.#heldFile = new HeldFile(home);
    this.#held = asUser(this.#qmails, () => this.#heldFile.read());
    this.#actions = new QueueActions({
      files: this.#files,
      log() {},
      now,
      lifetime,
      tables: () => tables,
      clean: ({ id }) => Promise.resolve(this.#remove(id, "intd", "mess")),
    });
  }

  /** Has `action` done to each target, one after another. */
  async *act(action: Action, targets: Iterable<Target>): AsyncGenerator<Answer, void, undefined> {
    for (const target of targets) {
      let verdict: Verdict;
      const back = becomeUser(this.#qmails);
      try {
        verdict = await this.#act(action, target);
      } catch (error) {
        verdict = { outcome: "refused", reason: (error as Error).message };
      } finally {
        back();
      }
      yield { id: target.id, made: target.made, ...verdict };
    }
  }

  close(): void {
    closeSync(this.#mutex);
  }

  async #act(action: Action, target: Target): Promise<Verdict> {
    const { id } = target;
    if (this.#files.made(id) !== target.made) return { outcome: "gone" };
    if (this.#files.mtime("todo", id) !== null) await this.#settle(target);
    if (this.#files.mtime("info", id) === null) return { outcome: "gone" };
    switch (action.type) {
      case "hold":
        return this.#hold(target);
      case "release":
        return this.#release(target);
      case "retry":
        return this.#retry(target);
      default:
        return (await this.#actions.act(action, target)).verdict;
    }
  }

  /** As qmail-send does before it acts: what is in todo is written down. */
  async #settle({ id, made }: Target): Promise<void> {
    const { sender, recipients } = parseTodo(readFileSync(this.#files.path("todo", id)));
    const rewritten = recipients.map((recipient) => rewrite(this.#tables, recipient));
    const states = rewritten.map(() => "waiting" as const);
    const message = { id, made, sender, birth: now(), recipients: rewritten, states, bounce: "" };
    await this.#files.settle(settlement(message, now()));
    this.#remove(id, "intd", "todo");
  }

  async #hold({ id, made }: Target): Promise<Verdict> {
    const { length } = this.#actions.undone(id);
    if (length === 0) return { outcome: "gone" };
    await this.#heldFile.hold([[id, made]]);
    this.#held.set(id, made);
    return { outcome: "done", recipients: length };
  }

  async #release({ id, made }: Target): Promise<Verdict> {
    if (this.#held.get(id) !== made) return NOT_HELD;
    await this.#heldFile.release([[id, made]]);
    this.#held.delete(id);
    return { outcome: "done", recipients: this.#actions.undone(id).length };
  }

  /** Its files say that it is due: the next qmail-send tries it at once. */
  #retry({ id, made }: Target): Verdict {
    if (this.#held.get(id) === made) return HELD;
    for (const channel of CHANNELS) {
      if (this.#files.mtime(channel, id) !== null) this.#files.setRetry(channel, id, now());
    }
    return { outcome: "done", recipients: this.#actions.undone(id).length };
  }

  #remove(id: MessId, ...directories: readonly ("intd" | "todo" | "mess")[]): void {
    for (const directory of directories) {
      const removed = asUser(this.#qmailq, () => this.#files.unlink(directory, id));
      if (!removed && directory === "todo") {
        throw new Error(`unable to unlink ${fmtqfn(directory, id)}`);
      }
    }
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
