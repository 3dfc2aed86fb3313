/**
 * What stands in a lock file, and whether anybody can be behind it (lockfile_create(3)). Asks nothing but
 * the `Machine`.
 *
 * Ours begin with "0": others have no process to ask after, since it may be one of another host. The lines
 * behind are for us: host, pid, when the process began, and in which boot.
 *
 * The clock is not to be trusted: it may have been set since the file was made. So of a file of ours it is
 * not asked at all, and of others' a time ahead of it says nothing (`isAhead`).
 */

/** A lock file of others this old belongs to nobody; whoever needs longer touches it. */
const STALE_MS = 5 * 60 * 1000;
/** Clocks of hosts that share files differ by less. */
const AHEAD_MS = 60 * 1000;

/** What is asked of this machine. */
export interface Machine {
  readonly host: string;
  /** A different text after each boot; "" when that cannot be known. */
  readonly boot: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** When it was booted, by the same clock; earlier when that clock was set meanwhile. */
  bootedAt(): number;
  /** Clock ticks from boot to the start of `pid`; "dead" when there is no such process, "hidden" when nobody tells us more. */
  started(pid: number): number | "dead" | "hidden";
  /** Whether no other host can have made the files in the directory of `path`, a byte string. */
  alone(path: string): boolean;
}

/** A lock file as it was found. */
export interface LockFile {
  readonly path: string;
  /** Its beginning; what a power cut leaves is empty, or zeros. */
  readonly text: string;
  readonly mtimeMs: number;
}

/** What we write into ours. */
export function lockText({ host, boot, started }: Machine, pid: number): string {
  return `0\n${host}\n${pid}\n${started(pid)}\n${boot}\n`;
}

/** Whether nobody can be behind `file` any more. */
export function isNobodys(file: LockFile, machine: Machine): boolean {
  const ours = parseOurs(file.text);
  if (ours && ours.host === machine.host) {
    const dead = isDead(ours, machine);
    if (dead !== null) return dead;
  }
  if (machine.now() - file.mtimeMs >= STALE_MS) return true;
  // Of a file that another host may have made, its processes and its boots we know nothing.
  if (!machine.alone(file.path)) return false;
  if (file.mtimeMs < machine.bootedAt()) return true;
  const pid = pidOf(file.text, machine.host);
  return pid !== null && machine.started(pid) === "dead";
}

/** Whether the time of `file` lies so far ahead that the clock was set back since: then it would count for as long. */
export function isAhead(file: LockFile, machine: Machine): boolean {
  return file.mtimeMs > machine.now() + AHEAD_MS;
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Absent in files of older versions. */
  readonly started?: string;
  readonly boot?: string;
}

/**
 * Null when that cannot be known. Should its process live where we cannot see it, in another pid
 * namespace: it has flock on the mbox, too.
 */
function isDead({ pid, started, boot }: Owner, machine: Machine): boolean | null {
  if (boot && machine.boot && boot !== machine.boot) return true;
  const now = machine.started(pid);
  if (now === "dead") return true;
  if (now === "hidden" || started === undefined || !/^\d+$/.test(started)) return null;
  return String(now) !== started;
}

function parseOurs(text: string): Owner | null {
  const [zero, host, pid = "", started, boot] = text.split("\n");
  if (zero !== "0" || !host || !/^[1-9]\d{0,9}$/.test(pid)) return null;
  // An older version's ends behind the pid.
  return { host, pid: Number(pid), ...(started && { started }), ...(boot && { boot }) };
}

/** The process of this host that another program says it is: `1234`, or `1234:host`. */
function pidOf(text: string, host: string): number | null {
  const match = /^\s*([1-9]\d{0,9})(?::([^\s:]+))?\s*$/.exec(text);
  if (!match || (match[2] !== undefined && match[2] !== host)) return null;
  return Number(match[1]);
}
