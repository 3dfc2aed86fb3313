/**
 * The book of the stress test: what was put in, what the spawners and the senders have seen of it, and what
 * qmail-send answered. Each recipient has a name of its own, which it keeps under every address: m12r3.
 */

import type { Action } from "../../../qmail/send/action.ts";
import type { Answer } from "../../../qmail/send/action-protocol.ts";

/** In the text of a bounce that was asked for. */
export const ASKED = "You were asked to leave.";

interface Fate {
  delivered: number;
  /** Paragraphs in bounces that came to the sender: of failures, and of bounces that were asked for. */
  failed: number;
  returned: number;
}

interface Letter {
  readonly recipients: ReadonlyMap<string, Fate>;
  /** Recipients that answers said were deleted, and bounced. */
  deleted: number;
  bounced: number;
  /** Failures that a delete has kept from the sender. */
  untold: number;
  /** Names that a delete that was answered with done may have meant. */
  readonly mayBeDeleted: Set<string>;
  /** Names that a delete has meant, whatever was answered. */
  readonly mayEnd: Set<string>;
}

export class Ledger {
  readonly #letters = new Map<string, Letter>();
  /** Messages whose door said no, or closed: they may be in the queue, or not, or partly. */
  readonly unknown = new Set<string>();
  readonly faults: string[] = [];
  readonly answers: Record<string, number> = {};

  get letters(): number {
    return this.#letters.size;
  }

  /** A message from `sender` to `names` is on its way in. */
  sent(sender: string, names: readonly string[]): void {
    const recipients = new Map(
      names.map((name) => [name, { delivered: 0, failed: 0, returned: 0 }]),
    );
    this.#letters.set(sender, {
      recipients,
      deleted: 0,
      bounced: 0,
      untold: 0,
      mayBeDeleted: new Set(),
      mayEnd: new Set(),
    });
  }

  namesOf(sender: string): readonly string[] {
    return [...(this.#letters.get(sender)?.recipients.keys() ?? [])];
  }

  delivered(sender: string, address: string): void {
    const fate = this.#fate(sender, address);
    if (fate) fate.delivered++;
  }

  /** A bounce has come to `sender`. */
  returned(sender: string, bounce: string): void {
    for (const [, address = "", text = ""] of bounce.matchAll(/^<(.*)>:\n((?:.+\n)+)\n/gm)) {
      const fate = this.#fate(sender, address);
      if (!fate) continue;
      if (text.includes(ASKED)) fate.returned++;
      else fate.failed++;
    }
  }

  /** What was answered for a message from `sender`; `names` are the recipients that were meant. */
  answered(
    sender: string,
    { action, answer, names }: { action: Action; answer: Answer; names: readonly string[] },
  ): void {
    const key = `${action.type} ${answer.outcome}`;
    this.answers[key] = (this.answers[key] ?? 0) + 1;
    const letter = this.#letters.get(sender);
    if (answer.outcome !== "done" || !letter) return;
    if (action.type === "bounce") letter.bounced += answer.recipients ?? 0;
    if (action.type !== "delete") return;
    letter.deleted += answer.recipients ?? 0;
    letter.untold += answer.untold ?? 0;
    for (const name of names) letter.mayBeDeleted.add(name);
  }

  /** Somebody asks for it; after a crash there may be no answer. */
  asked(sender: string, { type }: Action, names: readonly string[]): void {
    const letter = this.#letters.get(sender);
    if (type === "delete" && letter) for (const name of names) letter.mayEnd.add(name);
  }

  /** As `close` after crashes: second copies may be, and answers are missing; nothing is lost that nobody had deleted. */
  lost(): string[] {
    const lost: string[] = [];
    for (const [sender, { recipients, mayEnd }] of this.#letters) {
      for (const [name, { delivered, failed, returned }] of recipients) {
        const nowhere = delivered + failed + returned === 0;
        if (nowhere && !mayEnd.has(name) && !this.unknown.has(sender)) lost.push(name);
      }
    }
    return lost;
  }

  /** When nothing is left in the queue: every recipient has one fate, and the answers say which. */
  close(): string[] {
    const wrong = [...this.faults];
    for (const [sender, letter] of this.#letters) {
      if (this.unknown.has(sender)) continue;
      let nowhere = 0;
      let returned = 0;
      for (const [name, fate] of letter.recipients) {
        const all = fate.delivered + fate.failed + fate.returned;
        returned += fate.returned;
        if (all > 1) wrong.push(`${name}: ${JSON.stringify(fate)}`);
        if (all > 0) continue;
        nowhere++;
        if (!letter.mayBeDeleted.has(name)) wrong.push(`${name} is lost`);
      }
      const { deleted, untold, bounced } = letter;
      if (nowhere !== deleted + untold) {
        wrong.push(`${sender}: ${nowhere} are nowhere, ${deleted} deleted, ${untold} untold`);
      }
      if (returned > bounced || bounced - returned > untold) {
        wrong.push(`${sender}: ${returned} were returned, ${bounced} bounced, ${untold} untold`);
      }
    }
    return wrong;
  }

  #fate(sender: string, address: string): Fate | null {
    const name = nameOf(address);
    const fate = this.#letters.get(sender)?.recipients.get(name);
    if (!fate) this.faults.push(`nobody sent from ${sender} to ${address}`);
    return fate ?? null;
  }
}

/** The name in an address, whatever stands round it. */
export function nameOf(address: string): string {
  return /m\d+r\d+/.exec(address)?.[0] ?? address;
}
