/** The files that qmail-send owns: info/, local/, remote/, bounce/ (INTERNALS.md). Paths are relative to `queue`. */

import {
  closeSync,
  fdatasync,
  fsync,
  futimesSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";
import type { GroupSync } from "../files/groupsync.ts";
import { fmtqfn, isMessId, type MessId, splitOf } from "../queue/fmtqfn.ts";
import { madeOf } from "../queue/made.ts";
import { wholeParagraphs } from "./bounce.ts";
import { CHANNELS, type Channel } from "./log.ts";

/** Where qmail-send has files of a message. */
const OURS = ["info", ...CHANNELS, "bounce"] as const;

/** What the name of a file in the making ends in. */
const UNFINISHED = ".new";

const dataSync = promisify(fdatasync);
const fullSync = promisify(fsync);

export interface Info {
  readonly sender: string;
  /** When the message came to qmail-send, in seconds since 1970: the mtime of its info file. */
  readonly birth: number;
}

/** What is to be written of a message that has left todo. */
export interface Settlement extends Info {
  readonly id: MessId;
  /** `T recipient NUL` and `D recipient NUL` records; none when empty. */
  readonly records: Readonly<Record<Channel, string>>;
  /** When each channel is to be tried, in seconds since 1970. */
  readonly retry: Readonly<Record<Channel, number>>;
  /** Text for the bounce so far. */
  readonly bounce: string;
}

/** Trouble with a file; the message is what the log says of it. */
export class QueueFileError extends Error {}

export class QueueFiles {
  readonly #queue: string;
  readonly #sync: GroupSync;
  readonly #ordered: boolean;
  /** Messages whose bounce file is whole, since we began it or have looked. */
  readonly #wholeBounces = new Set<MessId>();

  /** `ordered` as `fsyncCarriesName` says of `queue`. */
  constructor(queue: string, sync: GroupSync, ordered: boolean) {
    this.#queue = queue;
    this.#ordered = ordered;
    this.#sync = sync;
  }

  path(directory: Parameters<typeof fmtqfn>[0], id: MessId): string {
    return `${this.#queue}/${fmtqfn(directory, id)}`;
  }

  /** mtime in seconds; null when the file is not there. Throws QueueFileError on other trouble. */
  mtime(directory: Parameters<typeof fmtqfn>[0], id: MessId): number | null {
    const stat = attempt(`unable to stat ${fmtqfn(directory, id)}`, () =>
      statSync(this.path(directory, id), { throwIfNoEntry: false }),
    );
    return stat ? Math.floor(stat.mtimeMs / 1000) : null;
  }

  /** Which message of its number it is (queue/made.ts); null when there is no such message. Throws QueueFileError. */
  made(id: MessId): number | null {
    const stat = attempt(`unable to stat ${fmtqfn("mess", id)}`, () =>
      statSync(this.path("mess", id), { throwIfNoEntry: false }),
    );
    return stat ? madeOf(stat) : null;
  }

  /** Sender and birth; null when there is no (whole) info file. */
  info(id: MessId): Info | null {
    const birth = this.mtime("info", id);
    if (birth === null) return null;
    const text = readFileSync(this.path("info", id), "latin1");
    const end = text.indexOf("\0");
    return text[0] === "F" && end > 0 ? { sender: text.slice(1, end), birth } : null;
  }

  /** True when something of ours may lie there under `id`: an earlier run was writing it down when it crashed. */
  leftover(id: MessId): boolean {
    try {
      return OURS.some((directory) => this.mtime(directory, id) !== null);
    } catch {
      return true;
    }
  }

  /** Removes what is ours of a message that is gone; info last, since the others mean nothing without it. */
  forget(id: MessId): void {
    for (const directory of OURS.toReversed()) this.unlink(directory, id);
  }

  /**
   * Removes info/N/`id`, for good before the message itself goes: on filesystems that keep the order of
   * removals in any case, on others when this resolves. Rejects on trouble.
   */
  async unlinkInfo(id: MessId): Promise<void> {
    this.unlink("info", id);
    if (!this.#ordered) await this.syncInfo(id);
  }

  /** Resolves when it is durable that info/N/`id` is there, or not. Rejects on trouble. */
  syncInfo(id: MessId): Promise<void> {
    return this.#sync.sync(`${this.#queue}/info/${splitOf(id)}`);
  }

  /** True when the file was there. Throws on other trouble. */
  unlink(directory: Parameters<typeof fmtqfn>[0], id: MessId): boolean {
    if (directory === "bounce") this.#wholeBounces.delete(id);
    try {
      unlinkSync(this.path(directory, id));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  /** Sets the time of the next try, so that the next start knows it. */
  setRetry(channel: Channel, id: MessId, time: number): void {
    utimesSync(this.path(channel, id), time, time);
  }

  /** Ids of the files in `directory`, for example "info/3"; tried again until it can be read (`pause`). */
  async ids(directory: string, pause: (directory: string) => Promise<void>): Promise<MessId[]> {
    for (;;) {
      try {
        return readdirSync(`${this.#queue}/${directory}`).filter(isMessId);
      } catch {
        await pause(directory);
      }
    }
  }

  /**
   * Cuts off what a power cut may have left of a paragraph that was being added to the bounce of `id`. Its recipient
   * is not marked: who it was about is tried once more. Throws on trouble.
   */
  mendBounce(id: MessId): void {
    if (this.#wholeBounces.has(id) || this.mtime("bounce", id) === null) return;
    const path = this.path("bounce", id);
    const text = readFileSync(path);
    const whole = wholeParagraphs(text);
    if (whole === 0) {
      this.unlink("bounce", id);
      return;
    }
    if (whole < text.length) truncateSync(path, whole);
    this.#wholeBounces.add(id);
  }

  /** Adds the paragraph `text` to the bounce of `id` and makes it durable. */
  async appendBounce(id: MessId, text: string): Promise<void> {
    this.mendBounce(id);
    const fd = openSync(this.path("bounce", id), "a", 0o600);
    try {
      writeAll(fd, text);
      await dataSync(fd);
      this.#wholeBounces.add(id);
    } catch (error) {
      // A part of it may be there: the next one looks.
      this.#wholeBounces.delete(id);
      throw error;
    } finally {
      closeSync(fd);
    }
    // Its name, unless that came with it; every time, since nobody knows what became of it the last time.
    if (!this.#ordered) await this.#sync.sync(`${this.#queue}/bounce`);
  }

  /**
   * Writes info, local, remote and bounce of a message from todo, durable when this resolves.
   * What an earlier try left is replaced. Throws QueueFileError; todo still holds the message then.
   */
  async settle(message: Settlement): Promise<void> {
    const { id, records } = message;
    for (const directory of OURS) {
      attempt(`unable to unlink ${fmtqfn(directory, id)}`, () => this.unlink(directory, id));
    }
    const written: Promise<void>[] = [];
    const write = (directory: "info" | "bounce" | Channel, text: string) => {
      if (text) written.push(this.#create(directory, id, { text, birth: message.birth }));
    };
    write("info", `F${message.sender}\0`);
    for (const channel of CHANNELS) write(channel, records[channel]);
    write("bounce", message.bounce);
    // All of them are waited for: what is still being written must not meet the next try.
    const failed = (await Promise.allSettled(written)).find(({ status }) => status === "rejected");
    if (failed) throw (failed as PromiseRejectedResult).reason;
    if (message.bounce) this.#wholeBounces.add(id);
  }

  async #create(
    directory: "info" | "bounce" | Channel,
    id: MessId,
    { text, birth }: { text: string; birth: number },
  ): Promise<void> {
    const name = fmtqfn(directory, id);
    const fd = attempt(`unable to create ${name}`, () =>
      openSync(this.path(directory, id), "wx", 0o600),
    );
    const parent = directory === "bounce" ? "bounce" : `${directory}/${splitOf(id)}`;
    try {
      attempt(`trouble writing to ${name}`, () => writeAll(fd, text));
      if (directory === "info") futimesSync(fd, birth, birth);
      // With its times: the birth is one.
      await fullSync(fd);
      if (!this.#ordered) await this.#sync.sync(`${this.#queue}/${parent}`);
    } catch (error) {
      throw trouble(`trouble fsyncing ${name}`, error);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Replaces the file of one channel, durable when this resolves: a crash leaves the old one or the
   * new one. Its time is `retry`.
   */
  async replace(channel: Channel, id: MessId, { text, retry }: { text: string; retry: number }) {
    const path = this.path(channel, id);
    // No name of a message: nobody looks at it, and cleanup takes it away.
    const fd = openSync(`${path}${UNFINISHED}`, "w", 0o600);
    try {
      writeAll(fd, text);
      futimesSync(fd, retry, retry);
      await fullSync(fd);
      renameSync(`${path}${UNFINISHED}`, path);
    } finally {
      closeSync(fd);
    }
    await this.#sync.sync(`${this.#queue}/${channel}/${splitOf(id)}`);
  }

  /** Makes the message as old as if it had been born at `birth`, durable when this resolves. */
  async setBirth(id: MessId, birth: number): Promise<void> {
    const fd = openSync(this.path("info", id), "r+");
    try {
      futimesSync(fd, birth, birth);
      await fullSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Removes what a crash left of `replace` in `directory`; not of messages that are `busy`. Throws on trouble. */
  removeUnfinished(directory: string, busy: (id: MessId) => boolean): void {
    for (const name of readdirSync(`${this.#queue}/${directory}`)) {
      const id = name.slice(0, -UNFINISHED.length);
      if (!name.endsWith(UNFINISHED) || !isMessId(id) || busy(id)) continue;
      unlinkSync(`${this.#queue}/${directory}/${name}`);
    }
  }
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw trouble(what, error);
  }
}

/** The first trouble with a file is the one to be told. */
function trouble(what: string, cause: unknown): QueueFileError {
  return cause instanceof QueueFileError ? cause : new QueueFileError(what, { cause });
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
