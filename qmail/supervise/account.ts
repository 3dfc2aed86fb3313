/**
 * The kernel's account of what runs in a home. Nothing is written down for it, so no full disk and no kill between
 * starting a process and noting it makes it wrong.
 *
 * Everything of a mail server holds one of its files open from birth to death: its supervisor run/supervise.lock, with a
 * lock on it; what a supervisor has started for itself, the keeper and the writer of the logs, the same file without a lock;
 * a service's processes the FIFO of its log, run/log.NAME, which they get as standard output and error. Only of processes
 * that we may not look into a note has to do (state.ts).
 */

import { constants, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { groupMembers, type ProcessInfo, processIds, processInfo } from "./procfs.ts";
import { notedGroups } from "./state.ts";

export const LOCK_FILE = "run/supervise.lock";
/** The mail system itself: started first, stopped last. */
export const MAIL_SYSTEM = "qmail-send";

const GIVEN = constants.O_WRONLY | constants.O_APPEND;
const LOG_FIFO = /^log\.(.+)$/;
/** Who holds the lock file, beside names of services, which are names of files. */
export const HELPER = "/";

/** The processes of a service, the oldest first. */
export interface RunningService {
  readonly service: string;
  readonly processes: readonly ProcessInfo[];
}

export interface Account {
  /** Who holds the lock. */
  readonly supervisor: ProcessInfo | null;
  /** Keeper and log writer of a supervisor, dead or alive. */
  readonly helpers: readonly ProcessInfo[];
  /** In the order of ending: doors first. */
  readonly services: readonly RunningService[];
}

/** What runs in `home`, ourselves not counted. */
export function account(home: string): Account {
  const files = knownFiles(home);
  const noted = notedGroups(home);
  const helpers: ProcessInfo[] = [];
  const groups = new Map<number, string>();
  let supervisor: ProcessInfo | null = null;
  for (const pid of processIds()) {
    if (pid === process.pid) continue;
    const held = heldBy(pid, files);
    const info = held && processInfo(pid);
    if (!info) continue;
    const name = held === UNSEEN ? noted.get(info.group) : held.name;
    if (name === undefined) continue;
    if (name !== HELPER) groups.set(info.group, name);
    else if (held.locked) supervisor = info;
    else helpers.push(info);
  }
  return { supervisor, helpers, services: services(groups, [supervisor, ...helpers]) };
}

/** True when all of `home` is for us to see: what runs there as others is hidden. */
export function seesAll(home: string): boolean {
  const uid = process.getuid?.();
  return uid === 0 || uid === statSync(home).uid;
}

/** Holders of a FIFO with their groups: a program that a delivery has started holds none. */
function services(
  groups: ReadonlyMap<number, string>,
  others: readonly (ProcessInfo | null)[],
): RunningService[] {
  const strange = new Set(others.map((each) => each?.pid));
  const byName = new Map<string, ProcessInfo[]>();
  for (const info of groupMembers(new Set(groups.keys()))) {
    if (info.pid === process.pid || strange.has(info.pid)) continue;
    const name = groups.get(info.group) as string;
    byName.set(name, [...(byName.get(name) ?? []), info]);
  }
  const last = (name: string) => (name === MAIL_SYSTEM ? 1 : 0);
  return [...byName]
    .map(([service, processes]) => ({ service, processes: oldestFirst(processes) }))
    .sort((a, b) => last(a.service) - last(b.service) || (a.service < b.service ? 1 : -1));
}

/** The first process of a service, then those it has started. */
export function oldestFirst(processes: readonly ProcessInfo[]): ProcessInfo[] {
  return processes.toSorted((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
}

/** Device and inode of the files that tell, and what each tells. */
function knownFiles(home: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const add = (path: string, name: string) => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats) files.set(key(stats), name);
  };
  add(`${home}/${LOCK_FILE}`, HELPER);
  const run = statSync(`${home}/run`, { throwIfNoEntry: false }) ? readdirSync(`${home}/run`) : [];
  for (const file of run) {
    const name = LOG_FIFO.exec(file)?.[1];
    if (name !== undefined) add(`${home}/run/${file}`, name);
  }
  return files;
}

function key({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

interface Held {
  readonly name: string;
  readonly locked: boolean;
}

/** We may not look. */
const UNSEEN: Held = { name: "", locked: false };

/** What `pid` holds open of `files`: the lock file before all others, as supervisor and log writer hold FIFOs, too. */
function heldBy(pid: number, files: ReadonlyMap<string, string>): Held | null {
  let lock: Held | null = null;
  let service: Held | null = null;
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const name = nameOf(`/proc/${pid}/fd/${fd}`, files);
      if (name === null) continue;
      const { locked, given } = descriptorInfo(`/proc/${pid}/fdinfo/${fd}`);
      // The file may be open twice, with the lock and without.
      if (name === HELPER && !lock?.locked) lock = { name, locked };
      // Who reads a FIFO, or only writes to it, has opened it himself.
      if (name !== HELPER && given) service = { name, locked: false };
    }
  } catch (error) {
    // Or it has gone meanwhile.
    if (isForbidden(error)) return UNSEEN;
  }
  return lock ?? service;
}

function isForbidden(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EACCES";
}

/** Throws when we may not look. */
function nameOf(path: string, files: ReadonlyMap<string, string>): string | null {
  try {
    return files.get(key(statSync(path))) ?? null;
  } catch (error) {
    if (isForbidden(error)) throw error;
    // Closed meanwhile.
    return null;
  }
}

/** Whether a lock is held by an open file, and whether it is open as a supervisor gives FIFOs to services (fifo.ts). */
function descriptorInfo(path: string): { locked: boolean; given: boolean } {
  try {
    const text = readFileSync(path, "latin1");
    const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(text)?.[1] ?? "0", 8);
    return { locked: /^lock:.*\bFLOCK\b/m.test(text), given: (flags & GIVEN) === GIVEN };
  } catch {
    return { locked: false, given: false };
  }
}
