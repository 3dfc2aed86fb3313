/**
 * New messages: from the queue server as they come, from the todo directory otherwise (C qmail: todo_*).
 *
 * The directory is read at start, when another program pulls the trigger, when the server could not
 * announce everything, and every 25 minutes in any case; a few messages a turn, so that deliveries go on.
 */

import { closeSync, constants, type Dir, fstatSync, lstatSync, openSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { Socket } from "node:net";
import { NoFileError, notAFile, readForeign } from "../files/foreign-directory.ts";
import { EnvelopeError, parseTodo } from "../queue/envelope.ts";
import { fmtqfn, isMessId, type MessId } from "../queue/fmtqfn.ts";
import { madeOf } from "../queue/made.ts";
import { ENVELOPE_MAX, type Fresh } from "../queue/protocol.ts";
import * as log from "./log.ts";
import { type RewriteTables, rewrite } from "./rewrite.ts";
import type { StraightMessage } from "./straight.ts";

/** todo/ is read at least this often, in seconds. */
export const SLEEP_TODO = 1500;

/** Longer envelopes nobody has written. */
const TODO_MAX = 2 * ENVELOPE_MAX;
/** So many odd names are told of. */
const TOLD_MAX = 100;

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
  /** What is odd in the queue, and was told of. */
  readonly #told = new Set<string>();
  /** When todo/ is read next in any case, in seconds since 1970. */
  nextScan = 0;

  constructor(context: TodoContext) {
    this.#context = context;
  }

  /** Listens on lock/trigger, for a qmail-queue that is not ours. */
  watch(): void {
    const fd = this.#openTrigger();
    if (fd === null) return;
    this.#trigger = new Socket({ fd });
    this.#trigger.on("data", () => this.scan());
    this.#trigger.on("error", () => {});
  }

  /** Null when it is not the FIFO that it should be: only who would pull it waits, for the next reading of todo. */
  #openTrigger(): number | null {
    // Opened for writing too: the FIFO then never reports an end.
    const flags = constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW;
    try {
      const fd = openSync(`${this.#context.queue}/lock/trigger`, flags);
      if (fstatSync(fd).isFIFO()) return fd;
      closeSync(fd);
    } catch {
      // As below.
    }
    const until = `what another program queues waits for up to ${SLEEP_TODO / 60} minutes`;
    this.#context.log(
      log.alert(`lock/trigger is no FIFO of ours: ${until}; see qmailctl queue check`),
    );
    return null;
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
    const message = this.#readFiles(id);
    if (message) await this.#take(message);
  }

  /** What the files of the message say; null when they cannot be read. */
  #readFiles(id: MessId): Fresh | null {
    const path = (directory: "todo" | "mess") => `${this.#context.queue}/${fmtqfn(directory, id)}`;
    try {
      const todo = readForeign(path("todo"), TODO_MAX);
      const mess = lstatSync(path("mess"), { throwIfNoEntry: false });
      if (mess?.isFile()) return { id, made: madeOf(mess), size: mess.size, todo };
      if (mess) throw notAFile(path("mess"), mess);
      this.#context.log(log.warning(`unable to stat ${fmtqfn("mess", id)}`));
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      const what = syscall === "read" ? "trouble reading" : "unable to open";
      if (error instanceof NoFileError) this.#tellOdd(error);
      // Else delivered since its name was read.
      else if (code !== "ENOENT") this.#context.log(log.warning(`${what} ${fmtqfn("todo", id)}`));
    }
    return null;
  }

  /** Once: it is found at each reading. */
  #tellOdd({ path, reason, cause }: NoFileError): void {
    const name = path.slice(this.#context.queue.length + 1);
    if (this.#told.has(name) || this.#told.size > TOLD_MAX) return;
    this.#told.add(name);
    const line =
      this.#told.size > TOLD_MAX
        ? "trouble reading more in todo: qmailctl queue check names all"
        : `${cause ? "unable to open" : "trouble reading"} ${name}: ${reason}`;
    this.#context.log(log.warning(line));
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
