/**
 * Wraps node:fs, in its three forms, so that every call that changes a file of one directory is seen.
 *
 * Named imports of node:fs are live only through `syncBuiltinESMExports`, and a promisified function is
 * what it was when it was made: hence before any other code. A call that could change a file and that is
 * not understood here ends the process loudly, so that none goes by unseen.
 */

import fs from "node:fs";
import { resolve } from "node:path";

/** A call that changes or syncs something in the site. */
export interface Call {
  readonly name: string;
  /** Absolute path of the file or directory, of the new name for link and rename. */
  readonly path: string;
  readonly handle?: number;
  /** Bytes of a write. */
  readonly data?: Buffer;
  /** The write went where the one before ended, not to a place of its own. */
  readonly moves?: boolean;
  /** Does the first half of a write. */
  readonly writeHalf?: () => void;
  /** What to write down after it, without the process. */
  event?: object;
  sync?: number;
}

export interface Watcher {
  readonly site: string;
  before(call: Call): void;
  after(call: Call): void;
  /** Not null: the sync is not done, but said to be. */
  pretend(call: Call): string | null;
  /** Milliseconds by which the call is done late, though said to be done. */
  late(call: Call): number;
  /** Type that statfs gives. */
  readonly filesystemType?: number;
}

interface Opened {
  readonly path: string;
  readonly handle: number;
  readonly append: boolean;
  /** Where the next write without a position goes. */
  position: number;
}

// biome-ignore lint/suspicious/noExplicitAny: functions of node:fs, called with what they were called with
type AnyFunction = (...args: any[]) => any;

/** What is watched: not the sockets in run/, nor the lock files, whose loss harms nobody. */
const WATCHED = /^\/(queue\/(?!lock)|drop(\/|$)|alias(\/|$))/;

const files = new Map<number, Opened>();
let handles = 0;

const { O_CREAT, O_APPEND } = fs.constants;
const { fstatSync, existsSync, writeSync } = fs;

/** Calls that change files and have no place here: the mail system uses none of them on its queue. */
const UNKNOWN = [
  "writeFile",
  "appendFile",
  "copyFile",
  "cp",
  "truncate",
  "symlink",
  "lutimes",
  "mkdtemp",
];
/** Understood, and without a meaning for the queue's law. */
const PLAIN = ["chmod", "chown", "fchmod", "fchown", "mkdir", "rm", "rmdir"];

function flagsOf(flags: unknown): { create: boolean; append: boolean } {
  if (typeof flags === "number") {
    return { create: (flags & O_CREAT) !== 0, append: (flags & O_APPEND) !== 0 };
  }
  const text = String(flags ?? "r");
  return { create: /[wa]/.test(text), append: text.includes("a") };
}

/** Turns calls into `Call`s; null for those that are of no concern. */
class Describer {
  readonly #site: string;

  constructor(site: string) {
    this.#site = site;
  }

  path(path: unknown): string | null {
    if (typeof path !== "string") return null;
    const whole = resolve(path);
    return whole.startsWith(this.#site) && WATCHED.test(whole.slice(this.#site.length))
      ? whole
      : null;
  }

  // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
  describe(name: string, args: any[]): Call | null {
    switch (name) {
      case "open":
        return this.#open(args);
      case "write":
      case "writev":
        return this.#write(name, args);
      case "ftruncate":
        return this.#descriptor(name, args[0], (handle) => {
          return { op: "truncate", handle, size: args[1] ?? 0 };
        });
      case "futimes":
        return this.#descriptor(name, args[0], (_, path) => ({
          op: "times",
          path,
          mtime: args[2],
        }));
      case "fsync":
      case "fdatasync":
        return this.#descriptor(name, args[0], () => ({}));
      case "utimes":
        return this.#named(name, args[0], (path) => ({ op: "times", path, mtime: args[2] }));
      case "unlink":
        return this.#named(name, args[0], (path) => ({ op: "unlink", path }));
      case "link":
      case "rename":
        return this.#named(name, args[1], (to) => ({ op: name, from: resolve(args[0]), to }));
      default:
        return this.#other(name, args[0]);
    }
  }

  #other(name: string, what: unknown): Call | null {
    const path = typeof what === "number" ? files.get(what)?.path : this.path(what);
    if (!path) return null;
    if (PLAIN.includes(name)) return null;
    process.stderr.write(`torture: unwatched call: ${name} ${path}\n`);
    process.abort();
  }

  #named(name: string, what: unknown, event: (path: string) => object): Call | null {
    const path = this.path(what);
    return path ? { name, path, event: event(path) } : null;
  }

  #descriptor(
    name: string,
    fd: number,
    event: (handle: number, path: string) => object,
  ): Call | null {
    const opened = files.get(fd);
    if (!opened) return null;
    const { path, handle } = opened;
    return { name, path, handle, event: event(handle, path) };
  }

  // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
  #open([what, flags]: any[]): Call | null {
    const path = this.path(what);
    if (!path) return null;
    const { create } = flagsOf(flags);
    return { name: create && !existsSync(path) ? "create" : "open", path };
  }

  // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
  #write(name: string, [fd, what, ...rest]: any[]): Call | null {
    const opened = files.get(fd);
    if (!opened) return null;
    let data: Buffer;
    let position: number | null | undefined;
    if (name === "writev") {
      data = Buffer.concat(what);
      position = rest[0];
    } else if (typeof what === "string") {
      data = Buffer.from(what, rest[1]);
      position = rest[0];
    } else {
      const [offset = 0, length = what.length - offset, at] = rest;
      data = Buffer.from(what.subarray(offset, offset + length));
      position = at;
    }
    const at = opened.append ? fstatSync(fd).size : (position ?? opened.position);
    const { path, handle } = opened;
    const writeHalf = () =>
      writeSync(fd, data.subarray(0, data.length >> 1), 0, data.length >> 1, at);
    const moves = typeof position !== "number";
    return { name, path, handle, data, moves, writeHalf, event: { op: "write", handle, at } };
  }
}

/** Keeps the table of descriptors, and completes the event with what the call gave. */
// biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
function note(call: Call, args: any[], result: unknown): void {
  if (call.name === "create" || call.name === "open") {
    const handle = ++handles;
    const { append } = flagsOf(args[1]);
    files.set(result as number, { path: call.path, handle, append, position: 0 });
    call.event = { op: "open", path: call.path, handle, created: call.name === "create" };
  } else if (call.data) {
    const opened = files.get(args[0]) as Opened;
    const done = result as number;
    const { at } = call.event as { at: number };
    if (call.moves) opened.position = at + done;
    call.event = { ...call.event, data: call.data.subarray(0, done).toString("base64") };
  }
}

/** True for what counts as a step: an open that makes nothing changes nothing. */
function counts(call: Call): boolean {
  return call.name !== "open";
}

/** Hooks all of node:fs for `watcher`. */
export function hookFiles(watcher: Watcher): void {
  const describer = new Describer(watcher.site);
  const table = fs as unknown as Record<string, AnyFunction>;
  const promises = fs.promises as unknown as Record<string, AnyFunction>;
  const names = [
    ...["open", "write", "writev", "ftruncate", "futimes", "utimes", "fsync", "fdatasync"],
    ...["unlink", "link", "rename", ...UNKNOWN, ...PLAIN],
  ];
  const before = (call: Call) => {
    if (counts(call)) watcher.before(call);
  };
  // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
  const after = (call: Call, args: any[], result: unknown) => {
    note(call, args, result);
    if (counts(call) || call.event) watcher.after(call);
  };
  for (const name of names) {
    const sync = table[`${name}Sync`];
    if (sync) {
      table[`${name}Sync`] = (...args) => {
        const call = describer.describe(name, args);
        if (!call) return sync(...args);
        if (watcher.pretend(call)) return undefined;
        const late = watcher.late(call);
        if (late > 0) return void setTimeout(() => sync(...args), late);
        before(call);
        const result = sync(...args);
        after(call, args, result);
        return result;
      };
    }
    const callback = table[name];
    if (callback) {
      table[name] = (...args) => {
        const call = describer.describe(name, args);
        if (!call) return callback(...args);
        const done = args.pop() as AnyFunction;
        if (watcher.pretend(call)) return void setImmediate(done, null);
        before(call);
        return callback(...args, (error: Error | null, ...results: unknown[]) => {
          if (!error) after(call, args, results[0]);
          done(error, ...results);
        });
      };
    }
    const promise = promises[name];
    if (promise) {
      promises[name] = (...args) => {
        const call = describer.describe(name, args);
        if (!call) return promise(...args);
        if (name === "open") {
          // A FileHandle's own methods are not seen.
          process.stderr.write(`torture: unwatched call: promises.open ${call.path}\n`);
          process.abort();
        }
        before(call);
        return promise(...args).then((result: unknown) => {
          after(call, args, result);
          return result;
        });
      };
    }
  }
  hookClose(table);
  if (watcher.filesystemType !== undefined) {
    const statfs = fs.statfsSync;
    table.statfsSync = (path: string) => ({ ...statfs(path), type: watcher.filesystemType });
  }
}

function hookClose(table: Record<string, AnyFunction>): void {
  for (const name of ["close", "closeSync"]) {
    const close = table[name] as AnyFunction;
    table[name] = (fd: number, ...rest) => {
      files.delete(fd);
      return close(fd, ...rest);
    };
  }
}
