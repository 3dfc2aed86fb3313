/**
 * System users for mail: /etc/passwd at once, other sources of nsswitch.conf (LDAP, sssd, systemd-homed)
 * through getent(1), without making the caller wait and without a process per message: what came is
 * kept for a minute, that there is no such user too, and names asked for meanwhile share a process.
 */

import { execFile } from "node:child_process";
import { hasMoreThanFiles, localPasswd, type Passwd, parsePasswdLine } from "./passwd.ts";

/** Answers are kept so long. */
const TTL_MS = 60_000;
/** So many of them at most. */
const KEPT_MAX = 10_000;
/** getent runs at once, and names asked of one. */
const PROCESSES = 4;
const BATCH = 64;
const TIMEOUT_MS = 10_000;
/** No user is named otherwise, and getent would take some others for options or numbers. */
const NAME = /^[a-z_][a-z0-9_.@$-]*$/i;
/** getent's exit code when it has not found all names. */
const NOT_ALL = 2;

/** Which of `names` are users. Rejects when the system cannot say. */
export type LookUp = (names: readonly string[]) => Promise<ReadonlyMap<string, Passwd>>;

export interface AccountsOptions {
  /** Users to be had without waiting. */
  readonly local: (name: string) => Passwd | null;
  /** Whether `more` is worth asking. */
  readonly hasMore: () => boolean;
  readonly more: LookUp;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

interface Wanted {
  readonly name: string;
  readonly resolve: (user: Passwd | null) => void;
  readonly reject: (error: Error) => void;
}

export class Accounts {
  readonly #options: AccountsOptions;
  readonly #kept = new Map<string, { user: Promise<Passwd | null>; until: number }>();
  #wanted: Wanted[] = [];
  #running = 0;

  constructor(options: AccountsOptions = SYSTEM) {
    this.#options = options;
  }

  /** The user `name`, or null. Rejects when the system cannot say. */
  async find(name: string): Promise<Passwd | null> {
    const local = this.#options.local(name);
    if (local || !NAME.test(name) || !this.#options.hasMore()) return local;
    const now = this.#options.now();
    const kept = this.#kept.get(name);
    if (kept && kept.until > now) return kept.user;
    const user = new Promise<Passwd | null>((resolve, reject) => {
      this.#wanted.push({ name, resolve, reject });
    });
    // Trouble is not kept: the next message may have better luck.
    user.catch(() => this.#kept.delete(name));
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(name, { user, until: now + TTL_MS });
    // Not now: the other names of this turn come along.
    setImmediate(() => this.#ask());
    return user;
  }

  #ask(): void {
    while (this.#running < PROCESSES && this.#wanted.length > 0) {
      const batch = this.#wanted.splice(0, BATCH);
      this.#running++;
      this.#options
        .more(batch.map(({ name }) => name))
        .then(
          (users) => {
            for (const { name, resolve } of batch) resolve(users.get(name) ?? null);
          },
          (error: Error) => {
            for (const { reject } of batch) reject(error);
          },
        )
        .finally(() => {
          this.#running--;
          this.#ask();
        });
    }
  }
}

/** Asks getent(1) for `names`. Rejects when it fails otherwise than by not knowing a name. */
export const getent: LookUp = (names) =>
  new Promise((resolve, reject) => {
    const options = { encoding: "latin1", timeout: TIMEOUT_MS, maxBuffer: 1 << 20 } as const;
    execFile("getent", ["passwd", ...names], options, (error, stdout) => {
      if (error && error.code !== NOT_ALL) {
        reject(
          new Error(`cannot look up users: getent failed: ${error.message}`, { cause: error }),
        );
        return;
      }
      const users = stdout.split("\n").flatMap((line) => parsePasswdLine(line) ?? []);
      resolve(new Map(users.map((user) => [user.name, user])));
    });
  });

let asked = { more: false, until: 0 };

/** nsswitch.conf seldom changes: it is read once a minute. */
function systemHasMore(): boolean {
  const now = performance.now();
  if (asked.until <= now) asked = { more: hasMoreThanFiles("passwd"), until: now + TTL_MS };
  return asked.more;
}

const SYSTEM: AccountsOptions = {
  local: localPasswd,
  hasMore: systemHasMore,
  more: getent,
  now: () => performance.now(),
};
