/**
 * A Maildir as one POP3 session sees it: the messages that were there at its beginning, the oldest first
 * (RFC 1939, C qmail: maildir.c). Other sessions and deliveries may change the Maildir meanwhile.
 */

import { createHash } from "node:crypto";
import { renameSync, unlinkSync } from "node:fs";
import { fsPath } from "../files/bytes.ts";
import { openFile } from "../files/foreign-directory.ts";
import { cleanTmp, scanMaildir, visible } from "../maildir/maildir.ts";

/** What UIDL may say (RFC 1939, section 7). */
const UNIQUE_ID = /^[!-~]{1,70}$/;

/** One message. */
export interface Message {
  /** Below the Maildir: new/NAME or cur/NAME; a byte string. */
  path: string;
  /** Bytes of the file. */
  readonly size: number;
  deleted: boolean;
}

/** The part of the name that stays the same when flags change. */
function baseName(path: string): string {
  return path.slice("new/".length).split(":", 1)[0] ?? "";
}

/** What UIDL says: the name without flags, or a digest of one that is too long or has other bytes in it. */
export function uniqueId({ path }: Pick<Message, "path">): string {
  const name = baseName(path);
  return UNIQUE_ID.test(name) ? name : createHash("sha256").update(name, "latin1").digest("hex");
}

export class Mailbox {
  readonly #directory: string;
  readonly messages: readonly Message[];

  /** Reads the Maildir `directory`; `now` in seconds. Throws when it cannot be read. */
  constructor(directory: string, now: number) {
    this.#directory = directory;
    cleanTmp(directory, now * 1000);
    this.messages = scanMaildir(directory, ["new", "cur"], now * 1000).map(({ name, size }) => ({
      path: name,
      size,
      deleted: false,
    }));
  }

  /** Opens a message for reading. Throws when it is gone. */
  open(message: Message): number {
    try {
      return openFile(this.#path(message.path)).fd;
    } catch (error) {
      if (!isGone(error)) throw error;
      message.path = this.#moved(message, this.#names());
      return openFile(this.#path(message.path)).fd;
    }
  }

  #path(path: string): string {
    return `${this.#directory}/${path}`;
  }

  /** Removes what was marked, and moves what was new to cur/. False when something could not be removed. */
  update(): boolean {
    let names: ReadonlyMap<string, string> | null = null;
    let done = true;
    for (const message of this.messages) {
      if (!message.deleted) this.#see(message);
      else if (!this.#unlink(message.path)) {
        // Another session may have moved it, or removed it as well.
        names ??= this.#namesNow();
        const path = names?.get(baseName(message.path));
        if (names === null || (path !== undefined && !this.#unlink(path))) done = false;
      }
    }
    return done;
  }

  #unlink(path: string): boolean {
    try {
      unlinkSync(fsPath(this.#path(path)));
      return true;
    } catch {
      return false;
    }
  }

  #see({ path }: Message): void {
    if (!path.startsWith("new/")) return;
    try {
      const seen = this.#path(`cur/${path.slice("new/".length)}:2,`);
      renameSync(fsPath(this.#path(path)), fsPath(seen));
    } catch {
      // It stays new, or another session has moved it.
    }
  }

  #moved(message: Message, names: ReadonlyMap<string, string>): string {
    const path = names.get(baseName(message.path));
    if (path === undefined) throw new Error(`the message ${message.path} is gone`);
    return path;
  }

  /** Null where we may not look any more. */
  #namesNow(): ReadonlyMap<string, string> | null {
    try {
      return this.#names();
    } catch {
      return null;
    }
  }

  /** Where everything is now, by the name without flags. */
  #names(): ReadonlyMap<string, string> {
    const names = new Map<string, string>();
    for (const sub of ["new", "cur"]) {
      for (const name of visible(this.#path(sub))) {
        const path = `${sub}/${name}`;
        names.set(baseName(path), path);
      }
    }
    return names;
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
