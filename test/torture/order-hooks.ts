/**
 * Wraps node:fs so that syncs, links, removals and renames in a site's queue take random time and fail
 * now and then: no crash, only another order of things. Chance comes from the plan's seed.
 *
 * What the thread pool does is held back before it is begun (the pool was full) or after it is done
 * (the answer came late). What is done synchronously may only be held for moments, and fails. Reading never does.
 */

import fs from "node:fs";
import { constants } from "node:os";
import { resolve } from "node:path";
import { Chance } from "./chance.ts";
import type { OrderPlan } from "./plan.ts";

// biome-ignore lint/suspicious/noExplicitAny: functions of node:fs, called with what they were called with
type AnyFunction = (...args: any[]) => any;

/** What is disturbed, below the site. */
const DISTURBED =
  /^\/(queue\/(pid|mess|intd|todo|info|local|remote|bounce)|drop|held)(\/|$)(?!.*\.tmp$)/;

const SYNCS = ["fsync", "fdatasync"];
const NAMED = ["unlink", "link", "rename"];

/** With what each call may fail. */
const CODES: Readonly<Record<string, readonly (keyof typeof constants.errno)[]>> = {
  fsync: ["EIO", "ENOSPC"],
  fdatasync: ["EIO", "ENOSPC"],
  unlink: ["EIO", "EPERM", "ENOSPC"],
  link: ["EIO", "EPERM", "ENOSPC"],
  rename: ["EIO", "ENOSPC"],
  open: ["EPERM", "ENOSPC"],
};

/** A synchronous call is held so rarely, of 1,000, and no longer. */
const SYNC_HOLDS = 3;
const SYNC_HOLD_MS = 15;
/** All wait for the sync of a mailbox: it is held so much more rarely. */
const MAILBOX_RARER = 20;
/** A failure in so many stays with its path, for so long. */
const STICKY = 4;
const STICKY_MS = 4000;
/** Of what is held back this is the least, in milliseconds. */
const LEAST_MS = 0.2;

const { O_CREAT } = fs.constants;
const { writeSync } = fs;

/** What is to happen to one call: milliseconds before it and behind it, or its failure. */
interface Turn {
  readonly path: string;
  readonly before: number;
  readonly after: number;
  readonly error: Error | null;
}

class Director {
  readonly #site: string;
  readonly #plan: OrderPlan;
  readonly #chance: Chance;
  readonly #process: string;
  readonly #trace: number;
  readonly #sticky = new Map<string, { readonly until: number; readonly code: string }>();

  constructor(site: string, plan: OrderPlan, role: string) {
    this.#site = site;
    this.#plan = plan;
    this.#process = `${role}.${process.pid}`;
    let seed = plan.seed;
    for (const letter of role) seed = Math.imul(seed, 31) + letter.charCodeAt(0);
    this.#chance = new Chance(seed);
    this.#trace = plan.trace ? fs.openSync(plan.trace, "a") : -1;
  }

  /** The path of what is disturbed, relative to the site; null for anything else. */
  path(path: unknown): string | null {
    if (typeof path !== "string") return null;
    const whole = resolve(path);
    if (!whole.startsWith(this.#site)) return null;
    const below = whole.slice(this.#site.length);
    return DISTURBED.test(below) ? below.slice(1) : null;
  }

  /** `path` is "" for what is not the queue's; `pooled` for what the thread pool does. */
  turn(name: string, path: string, pooled: boolean): Turn {
    const error = this.#failure(name, path);
    const { holds, holdMs, flushMs } = this.#plan;
    const flush = SYNCS.includes(name) ? flushMs : 0;
    const rare = path === "" ? holds / MAILBOX_RARER : holds;
    const held = this.#chance.below(1000) < (pooled ? rare : Math.min(holds, SYNC_HOLDS));
    if (!held) return { path, before: 0, after: flush, error };
    const span = pooled ? holdMs : Math.min(holdMs, SYNC_HOLD_MS);
    const time = this.#upTo(span);
    const early = this.#chance.below(3) === 0;
    return { path, before: early ? time : 0, after: flush + (early ? 0 : time), error };
  }

  /** Most often little, and each size of time as often as the next. */
  #upTo(span: number): number {
    if (span <= LEAST_MS) return 0;
    return LEAST_MS * (span / LEAST_MS) ** (this.#chance.below(10_000) / 10_000);
  }

  #failure(name: string, path: string): Error | null {
    const codes = CODES[name];
    if (!codes || path === "" || this.#plan.failures === 0) return null;
    const now = performance.now();
    const key = `${name} ${path}`;
    const sticky = this.#sticky.get(key);
    if (sticky && sticky.until > now) return failure(sticky.code, name, path);
    this.#sticky.delete(key);
    if (this.#chance.below(100_000) >= this.#plan.failures) return null;
    const code = codes[this.#chance.below(codes.length)] as string;
    if (this.#chance.below(STICKY) === 0) {
      this.#sticky.set(key, { code, until: now + this.#chance.below(STICKY_MS) });
    }
    return failure(code, name, path);
  }

  /** One line: when, who, what. */
  note(what: string, { path, before, after, error }: Turn, to = ""): void {
    if (this.#trace < 0) return;
    const held = before + after >= 1 ? ` held ${before.toFixed()}+${after.toFixed()}` : "";
    const failed = error ? ` ${(error as NodeJS.ErrnoException).code}` : "";
    const line = `${stamp()} ${this.#process} ${what} ${path}${to}${held}${failed}\n`;
    writeSync(this.#trace, line);
  }
}

/** Milliseconds by a clock that all processes share. */
export function stamp(): string {
  return (Number(process.hrtime.bigint() / 1000n) / 1000).toFixed(3);
}

function failure(code: string, syscall: string, path: string): Error {
  const error = new Error(`${code}: injected, ${syscall} '${path}'`);
  const errno = -constants.errno[code as keyof typeof constants.errno];
  return Object.assign(error, { code, errno, syscall, path });
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Holds the whole process. */
function hold(ms: number): void {
  if (ms > 0) Atomics.wait(cell, 0, 0, ms);
}

function later(ms: number, action: () => void): void {
  if (ms > 0) setTimeout(action, ms);
  else action();
}

/** Hooks node:fs in this process, the program `role`. */
export function hookOrders(site: string, plan: OrderPlan, role: string): void {
  const director = new Director(site, plan, role);
  const table = fs as unknown as Record<string, AnyFunction>;
  const promises = fs.promises as unknown as Record<string, AnyFunction>;
  const files = hookDescriptors(director, table);
  hookWrites(director, table, files);
  for (const name of [...SYNCS, ...NAMED]) {
    // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
    const turnOf = (args: any[], pooled: boolean): Turn | null => {
      const what = typeof args[0] === "number" ? files.get(args[0]) : director.path(args[0]);
      const path = what ?? (name === "link" || name === "rename" ? director.path(args[1]) : null);
      if (path) return director.turn(name, path, pooled);
      // A mailbox: only its syncs take their time.
      return SYNCS.includes(name) ? director.turn(name, "", pooled) : null;
    };
    const target = (args: readonly unknown[]) =>
      typeof args[1] === "string" ? ` ${director.path(args[1]) ?? args[1]}` : "";
    hookSync(table, name, { director, turnOf, target });
    hookCallback(table, name, { director, turnOf, target });
    hookPromise(promises, name, { director, turnOf, target });
  }
}

interface Hook {
  readonly director: Director;
  // biome-ignore lint/suspicious/noExplicitAny: arguments of node:fs functions
  turnOf(args: any[], pooled: boolean): Turn | null;
  target(args: readonly unknown[]): string;
}

function hookSync(table: Record<string, AnyFunction>, name: string, hook: Hook): void {
  const { director, turnOf, target } = hook;
  const original = table[`${name}Sync`] as AnyFunction;
  table[`${name}Sync`] = (...args) => {
    const turn = turnOf(args, false);
    if (!turn) return original(...args);
    hold(turn.before);
    if (!turn.error) original(...args);
    if (turn.path) director.note(name, turn, target(args));
    hold(turn.after);
    if (turn.error) throw turn.error;
  };
}

function hookCallback(table: Record<string, AnyFunction>, name: string, hook: Hook): void {
  const { director, turnOf, target } = hook;
  const original = table[name] as AnyFunction;
  table[name] = (...args) => {
    const turn = turnOf(args, true);
    if (!turn) return original(...args);
    const done = args.pop() as AnyFunction;
    const note = (what: string) => {
      if (turn.path) director.note(`${name} ${what}`, turn, target(args));
    };
    const answer = (error: unknown) =>
      later(turn.after, () => {
        note("answered");
        done(turn.error ?? error);
      });
    note("asked");
    later(turn.before, () => (turn.error ? answer(null) : original(...args, answer)));
  };
}

function hookPromise(promises: Record<string, AnyFunction>, name: string, hook: Hook): void {
  const { director, turnOf, target } = hook;
  const original = promises[name];
  if (!original) return;
  promises[name] = async (...args) => {
    const turn = turnOf(args, true);
    if (!turn) return original(...args);
    await new Promise<void>((done) => later(turn.before, done));
    if (!turn.error) await original(...args);
    if (turn.path) director.note(name, turn, target(args));
    await new Promise<void>((done) => later(turn.after, done));
    if (turn.error) throw turn.error;
  };
}

/** Has the trace say whose text and whose envelope are written where. */
function hookWrites(
  director: Director,
  table: Record<string, AnyFunction>,
  files: Map<number, string>,
): void {
  const link = table.linkSync as AnyFunction;
  table.linkSync = (from, to) => {
    link(from, to);
    const [old, now] = [director.path(from), director.path(to)];
    // A mess file gets its number.
    if (!old?.startsWith("queue/pid/") || !now) return;
    for (const [fd, path] of files) if (path === old) files.set(fd, now);
  };
  for (const name of ["writeSync", "writevSync"]) {
    const write = table[name] as AnyFunction;
    table[name] = (fd, what, ...rest) => {
      const path = files.get(fd as number);
      const token = path && tokenOf(Array.isArray(what) ? what : [what]);
      if (token) director.note(`write =${token}`, { path, before: 0, after: 0, error: null });
      return write(fd, what, ...rest);
    };
  }
}

/** Whose text or envelope that is; the beginning of it is enough. */
function tokenOf(parts: readonly unknown[]): string | undefined {
  for (const part of parts) {
    const text =
      part instanceof Uint8Array
        ? Buffer.from(part.buffer, part.byteOffset, Math.min(part.length, 1000)).toString("latin1")
        : "";
    const token = /X-Token: (\S+)|Ffrom-(\S+?)@/.exec(text);
    if (token) return token[1] ?? token[2];
  }
  return undefined;
}

/** Keeps the paths of open files, and has creations fail. */
function hookDescriptors(
  director: Director,
  table: Record<string, AnyFunction>,
): Map<number, string> {
  const files = new Map<number, string>();
  const open = table.openSync as AnyFunction;
  table.openSync = (path, flags, ...rest) => {
    const disturbed = director.path(path);
    if (!disturbed) return open(path, flags, ...rest);
    const creates =
      typeof flags === "number" ? (flags & O_CREAT) !== 0 : /[wa]/.test(String(flags ?? "r"));
    if (creates) {
      const turn = director.turn("open", disturbed, false);
      director.note("create", turn);
      hold(turn.before);
      if (turn.error) throw turn.error;
    }
    const fd = open(path, flags, ...rest) as number;
    if (/(^|\/)mess\//.test(disturbed) && !creates) {
      director.note("open", { path: disturbed, before: 0, after: 0, error: null });
    }
    files.set(fd, disturbed);
    return fd;
  };
  for (const name of ["close", "closeSync"]) {
    const close = table[name] as AnyFunction;
    table[name] = (fd, ...rest) => {
      files.delete(fd as number);
      return close(fd, ...rest);
    };
  }
  return files;
}
