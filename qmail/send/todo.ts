/**
 * New messages: from the queue server as they come, from the todo directory otherwise (C qmail: todo_*).
 *
 * The directory is read at start, when another program pulls the trigger, when the server could not
 * announce everything, and every 25 minutes in any case; a few messages a turn, so that deliveries go on.
 */

import { constants, type Dir, openSync, readFileSync, statSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { Socket } from "node:net";
import { EnvelopeError, parseTodo } from "../queue/envelope.ts";
import { fmtqfn, isMessId, type MessId } from "../queue/fmtqfn.ts";
import { madeOf } from "../queue/made.ts";
import type { Fresh } from "../queue/protocol.ts";
import * as log from "./log.ts";
import { type RewriteTables, rewrite } from "./rewrite.ts";
import type { StraightMessage } from "./straight.ts";

/** todo/ is read at least this often, in seconds. */
export const SLEEP_TODO = 1500;

/** So many messages are taken in one turn: a few milliseconds, then deliveries go on. */
const NAMES = 64;

export interface TodoContext {
  readonly queue: string;
  readonly log: (line: string) => void;
  readonly now: () => number;
  tables(): RewriteTables;
  /** True for a message that is being worked on although it is still in todo; `made` says which one of that number. */
  known(id: MessId, made?: number): boolean;
  /** Takes over a new message. Resolves when the next may come. */
  take(message: StraightMessage): Promise<void>;
  /** False when no new message is to be begun. */
  active(): boolean;
  /** True when so many are being written down that the next must wait. */
  full(): boolean;
}

export class Todo {
  readonly #context: TodoContext;
  #scanning = false;
  #again = false;
  #trigger: Socket | null = null;
  /** When todo/ is read next in any case, in seconds since 1970. */
  nextScan = 0;

  constructor(context: TodoContext) {
    this.#context = context;
  }

  /** Listens on lock/trigger, for a qmail-queue that is not ours. */
  watch(): void {
    // Opened for writing too: the FIFO then never reports an end.
    const flags = constants.O_RDWR | constants.O_NONBLOCK;
    this.#trigger = new Socket({ fd: openSync(`${this.#context.queue}/lock/trigger`, flags) });
    this.#trigger.on("data", () => this.scan());
    this.#trigger.on("error", () => {});
  }

  close(): void {
    this.#trigger?.destroy();
  }

  /** A message that the queue server announces. */
  fresh(message: Fresh): void {
    const { active, known, full } = this.#context;
    if (!active() || known(message.id, message.made)) return;
    // The reading of the directory waits as often as it must.
    if (full()) this.scan();
    else void this.#take(message);
  }

  /** Reads the directory, or reads it again when it is being read. */
  scan(): void {
    this.#again = true;
    if (!this.#scanning) void this.#scan();
  }

  async #scan(): Promise<void> {
    this.#scanning = true;
    while (this.#again && this.#context.active()) {
      this.#again = false;
      this.nextScan = this.#context.now() + SLEEP_TODO;
      try {
        const options = { bufferSize: NAMES };
        await this.#read(await opendir(`${this.#context.queue}/todo`, options));
      } catch {
        this.#context.log(log.alert("unable to opendir todo, sleeping..."));
        this.nextScan = this.#context.now() + 10;
      }
    }
    this.#scanning = false;
  }

  /** Takes the message `id` from its file in todo before its turn. */
  async takeNow(id: MessId): Promise<void> {
    if (!this.#context.known(id)) await this.#fromFile(id);
  }

  async #read(directory: Dir): Promise<void> {
    for await (const { name } of directory) {
      if (!this.#context.active()) return;
      if (isMessId(name) && !this.#context.known(name)) await this.#fromFile(name);
    }
  }

  async #fromFile(id: MessId): Promise<void> {
    const path = (directory: "todo" | "mess") => `${this.#context.queue}/${fmtqfn(directory, id)}`;
    let bytes: Buffer;
    try {
      bytes = readFileSync(path("todo"));
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      // Delivered since its name was read.
      if (code === "ENOENT") return;
      const what = syscall === "read" ? "trouble reading" : "unable to open";
      this.#context.log(log.warning(`${what} ${fmtqfn("todo", id)}`));
      return;
    }
    const mess = statSync(path("mess"), { throwIfNoEntry: false });
    if (!mess) {
      this.#context.log(log.warning(`unable to stat ${fmtqfn("mess", id)}`));
      return;
    }
    await this.#take({ id, made: madeOf(mess), size: mess.size, todo: bytes });
  }

  async #take({ id, made, size, todo }: Fresh): Promise<void> {
    const { log: write, tables, now, take } = this.#context;
    try {
      const { sender, uid, pid, recipients } = parseTodo(todo);
      write(log.newMsg(id));
      write(log.infoMsg(id, { bytes: size, sender, qp: pid, uid }));
      const rewritten = recipients.map((recipient) => rewrite(tables(), recipient));
      await take({
        id,
        made,
        sender,
        birth: now(),
        recipients: rewritten,
        states: rewritten.map(() => "waiting"),
        bounce: "",
      });
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      const what = error.reason === "format" ? "unknown record type in" : "trouble reading";
      write(log.warning(`${what} ${fmtqfn("todo", id)}`));
    }
  }
}
