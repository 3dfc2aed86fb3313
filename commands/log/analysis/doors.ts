/** What came in by the doors: connections, messages, refusals and logins, by door, by client, by account. */

import type { OtherLine } from "../../../qmail/log/other-lines.ts";

export interface DoorCounts {
  connections: number;
  accepted: number;
  bytes: number;
  refused: number;
  /** Connections that a rule sent away. */
  denied: number;
  logins: number;
  badLogins: number;
}

/** Whose counts those are whose names were dropped. */
export const OTHERS = "(others)";

/** Counts by name, of so many names at most: past that the lesser half becomes "(others)". */
export class DoorTable {
  readonly #max: number;
  readonly #counts = new Map<string, DoorCounts>();

  constructor(max = 50_000) {
    this.#max = max;
  }

  get(name: string): DoorCounts {
    const known = this.#counts.get(name);
    if (known) return known;
    if (this.#counts.size >= this.#max) this.#dropLesserHalf();
    const made = noCounts();
    this.#counts.set(name, made);
    return made;
  }

  entries(): [string, DoorCounts][] {
    return [...this.#counts];
  }

  #dropLesserHalf(): void {
    const all = this.entries().sort(([, a], [, b]) => weight(b) - weight(a));
    const others = this.#counts.get(OTHERS) ?? noCounts();
    for (const [name, counts] of all.slice(this.#max >> 1)) {
      if (counts === others) continue;
      this.#counts.delete(name);
      for (const key of Object.keys(counts) as (keyof DoorCounts)[]) others[key] += counts[key];
    }
    this.#counts.set(OTHERS, others);
  }
}

function noCounts(): DoorCounts {
  const messages = { accepted: 0, bytes: 0, refused: 0 };
  return { connections: 0, denied: 0, ...messages, logins: 0, badLogins: 0 };
}

function weight({ connections, accepted, refused, denied, badLogins }: DoorCounts): number {
  return connections + accepted + refused + denied + badLogins;
}

/** Programs in front of a door, which say that a connection begins; the doors say that one has ended. */
const STARTERS: ReadonlySet<string> = new Set(["tcpserver", "spamdyke"]);
/** Not a wrong password: nobody was let in, or nobody could look. */
const NO_GUESS: ReadonlySet<string> = new Set(["temporary", "malformed"]);

/** True for a login that failed at its password. */
export function isGuess({ event, reason = "" }: OtherLine): boolean {
  return event === "login-failed" && !NO_GUESS.has(reason);
}

export class Doors {
  readonly doors = new DoorTable();
  readonly clients = new DoorTable();
  readonly accounts = new DoorTable();

  add(line: OtherLine): void {
    const { program, event, ip, user } = line;
    if (event === "note" || event === "trouble") return;
    count(this.doors.get(program), line);
    if (ip !== undefined) count(this.clients.get(ip), line);
    if (user !== undefined && user !== "") count(this.accounts.get(user), line);
  }
}

function count(counts: DoorCounts, line: OtherLine): void {
  const { program, event, bytes = 0 } = line;
  if (event === "connected" || (event === "ended" && !STARTERS.has(program))) counts.connections++;
  else if (event === "accepted") {
    counts.accepted++;
    counts.bytes += bytes;
  } else if (event === "refused") counts.refused++;
  else if (event === "denied") counts.denied++;
  else if (event === "login") counts.logins++;
  else if (isGuess(line)) counts.badLogins++;
}
