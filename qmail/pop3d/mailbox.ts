/**
 * A Maildir as one POP3 session sees it: the messages that were there at its beginning, the oldest first
 * (RFC 1939, C qmail: maildir.c). Other sessions and deliveries may change the Maildir meanwhile.
 */

import { openSync, readdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";

/** What lies in tmp/ for so long was never delivered: 36 hours, as maildir(5) has it. */
const STALE_SECONDS = 129_600;

/** One message. */
export interface Message {
  /** Below the Maildir: new/NAME or cur/NAME. */
  path: string;
  /** Bytes of the file. */
  readonly size: number;
  deleted: boolean;
}

/** The name that stays the same when flags change: what UIDL says. */
export function uniqueName({ path }: Pick<Message, "path">): string {
  return (path.slice("new/".length).split(":", 1)[0] ?? "").replace(/[^!-~]/g, "_");
}

export class Mailbox {
  readonly #directory: string;
  readonly messages: readonly Message[];

  /** Reads the Maildir `directory`; `now` in seconds. Throws when it cannot be read. */
  constructor(directory: string, now: number) {
    this.#directory = directory;
    removeStale(join(directory, "tmp"), now);
    this.messages = [...scan(directory, "new", now), ...scan(directory, "cur", now)]
      .sort((a, b) => a.time - b.time || (a.path < b.path ? -1 : 1))
      .map(({ path, size }) => ({ path, size, deleted: false }));
  }

  /** Opens a message for reading. Throws when it is gone. */
  open(message: Message): number {
    try {
      return openSync(join(this.#directory, message.path), "r");
    } catch (error) {
      if (!isGone(error)) throw error;
      message.path = this.#moved(message, this.#names());
      return openSync(join(this.#directory, message.path), "r");
    }
  }

  /** Removes what was marked, and moves what was new to cur/. False when something could not be removed. */
  update(): boolean {
    let names: ReadonlyMap<string, string> | null = null;
    let done = true;
    for (const message of this.messages) {
      if (!message.deleted) this.#see(message);
      else if (!this.#unlink(message.path)) {
        // Another session may have moved it, or removed it as well.
        names ??= this.#names();
        const path = names.get(uniqueName(message));
        if (path !== undefined && !this.#unlink(path)) done = false;
      }
    }
    return done;
  }

  #unlink(path: string): boolean {
    try {
      unlinkSync(join(this.#directory, path));
      return true;
    } catch {
      return false;
    }
  }

  #see({ path }: Message): void {
    if (!path.startsWith("new/")) return;
    try {
      renameSync(join(this.#directory, path), join(this.#directory, `cur/${path.slice(4)}:2,`));
    } catch {
      // It stays new, or another session has moved it.
    }
  }

  #moved(message: Message, names: ReadonlyMap<string, string>): string {
    const path = names.get(uniqueName(message));
    if (path === undefined) throw new Error(`the message ${message.path} is gone`);
    return path;
  }

  /** Where everything is now, by its unique name. */
  #names(): ReadonlyMap<string, string> {
    const names = new Map<string, string>();
    for (const sub of ["new", "cur"]) {
      for (const name of readdirSync(join(this.#directory, sub), "latin1")) {
        const path = `${sub}/${name}`;
        names.set(uniqueName({ path }), path);
      }
    }
    return names;
  }
}

interface Found {
  readonly path: string;
  readonly size: number;
  /** Seconds. */
  readonly time: number;
}

function scan(directory: string, sub: "new" | "cur", now: number): Found[] {
  const found: Found[] = [];
  for (const name of readdirSync(join(directory, sub))) {
    if (name.startsWith(".")) continue;
    const path = `${sub}/${name}`;
    const stat = statSync(join(directory, path), { throwIfNoEntry: false });
    // What came within this second may get a neighbour: its place is not sure yet.
    if (!stat || Math.floor(stat.mtimeMs / 1000) >= now) continue;
    found.push({ path, size: stat.size, time: Math.floor(stat.mtimeMs / 1000) });
  }
  return found;
}

function removeStale(directory: string, now: number): void {
  try {
    for (const name of readdirSync(directory)) {
      if (name.startsWith(".")) continue;
      const path = join(directory, name);
      if (now > statSync(path).atimeMs / 1000 + STALE_SECONDS) unlinkSync(path);
    }
  } catch {
    // Tidying up is not what the user has come for.
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
