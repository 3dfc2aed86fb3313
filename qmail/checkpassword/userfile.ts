/**
 * users/password: the logins of the site that are no system users. Lines as in passwd(5), so that other
 * programs (Dovecot's passwd-file) can read it as well:
 *
 *   LOGIN:$scrypt$...:UID:GID:COMMENT:HOME:SHELL[:scram=... secret=...]
 *
 * `scram` holds SCRAM-SHA-256 keys (ITERATIONS,SALT,STORED,SERVER), `secret` the password itself, both base64.
 */

import { closeSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic.ts";
import { lockWaiting } from "../files/lock.ts";
import { exposure } from "../files/secret.ts";
import type { ScramKeys } from "./scram.ts";

/** So long another who changes the file is waited for. */
const LOCK_SECONDS = 10;

/** As whom, and where, somebody's mailbox is. */
export interface Account {
  /** $USER. */
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

export interface Entry extends Account {
  /** The scrypt hash. */
  readonly hash: string;
  readonly scram: ScramKeys | null;
  /** The password itself, for CRAM-MD5 and APOP; a byte string. */
  readonly secret: string | null;
}

/** What a login may be: one field of a line, not a comment, and one word of a protocol. */
export const LOGIN = /^[!"$-9;-~][!-9;-~]{0,254}$/;

/** One line as an entry; null when it is none. */
export function parseEntry(line: string): Entry | null {
  const [user, hash = "", uid, gid, , home, shell, extra = ""] = line.split(":");
  if (!user || !LOGIN.test(user) || !/^\d+$/.test(uid ?? "") || !/^\d+$/.test(gid ?? ""))
    return null;
  if (!home?.startsWith("/")) return null;
  const extras = new Map(extra.split(" ").map((word) => splitOnce(word)));
  const secret = extras.get("secret");
  return {
    user,
    hash,
    uid: Number(uid),
    gid: Number(gid),
    home,
    shell: shell || "/bin/false",
    scram: parseScram(extras.get("scram")),
    secret: secret === undefined ? null : Buffer.from(secret, "base64").toString("latin1"),
  };
}

/** The line of `entry`, without its end. */
export function formatEntry(entry: Entry): string {
  const { user, hash, uid, gid, home, shell, scram, secret } = entry;
  const extras = [
    ...(scram ? [`scram=${formatScram(scram)}`] : []),
    ...(secret === null ? [] : [`secret=${Buffer.from(secret, "latin1").toString("base64")}`]),
  ];
  const fields = [user, hash, uid, gid, "", home, shell];
  return [...fields, ...(extras.length > 0 ? [extras.join(" ")] : [])].join(":");
}

function splitOnce(word: string): [string, string] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, ""] : [word.slice(0, equals), word.slice(equals + 1)];
}

function formatScram({ iterations, salt, storedKey, serverKey }: ScramKeys): string {
  return [iterations, ...[salt, storedKey, serverKey].map((key) => key.toString("base64"))].join(
    ",",
  );
}

function parseScram(text: string | undefined): ScramKeys | null {
  const match = /^(\d+),([\w+/=]+),([\w+/=]+),([\w+/=]+)$/.exec(text ?? "");
  if (!match) return null;
  const [, iterations, ...keys] = match;
  const [salt, storedKey, serverKey] = keys.map((key) => Buffer.from(key, "base64"));
  if (!salt || !storedKey || !serverKey) return null;
  return { iterations: Number(iterations), salt, storedKey, serverKey };
}

/** Where the file is in the qmail home `home`. */
export function userFilePath(home: string): string {
  return join(home, "users/password");
}

/** The entries in the order of the file; none when there is no file. Throws when it cannot be read. */
export function readUserFile(home: string): Entry[] {
  return lines(home)
    .map(parseEntry)
    .filter((entry) => entry !== null);
}

/** The entry of `login`, whose letters may be of either case; null when there is none. */
export function findEntry(home: string, login: string): Entry | null {
  const wanted = login.toLowerCase();
  return readUserFile(home).find(({ user }) => user.toLowerCase() === wanted) ?? null;
}

/**
 * Changes the file: `change` gets the entries and says what they are to be. Lines that are no entries
 * (comments) stay where they are. Nobody else changes it meanwhile, and readers see the old file or the new one.
 */
export async function changeUserFile(
  home: string,
  change: (entries: readonly Entry[]) => readonly Entry[],
): Promise<void> {
  const directory = join(home, "users");
  mkdirSync(directory, { recursive: true });
  const lock = openSync(directory, "r");
  try {
    await lockWaiting(lock, LOCK_SECONDS);
    const old = lines(home);
    const others = old.filter((line) => !parseEntry(line));
    const entries = change(readUserFile(home));
    const text = [...others, ...entries.map(formatEntry)].map((line) => `${line}\n`).join("");
    writeFileAtomic(userFilePath(home), Buffer.from(text, "latin1"), { mode: 0o600 });
  } finally {
    closeSync(lock);
  }
}

/** Said of once: the file is read at every login. */
let warned = false;

function lines(home: string): string[] {
  try {
    const path = userFilePath(home);
    const why = warned ? null : exposure(statSync(path));
    if (why) process.stderr.write(`warning: "${path}" is no secret: ${why}\n`);
    warned ||= why !== null;
    return readFileSync(path, "latin1").split("\n").filter(Boolean);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
