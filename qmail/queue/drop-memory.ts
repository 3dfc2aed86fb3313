/**
 * What is known of files in drop from one look to the next, so that nothing is read, told or queued twice. A file is
 * known by its number and its ctime, which nobody can set: one that was changed is another.
 */

import type { Stats } from "node:fs";

/** More are forgotten, the oldest first: anybody can make as many names as he likes. */
const KNOWN_MAX = 10_000;

type Identity = Pick<Stats, "dev" | "ino" | "ctimeMs" | "size">;

interface Known {
  readonly stamp: string;
  /** Why it was refused for good. */
  error: Error | null;
  told: boolean;
}

export class DropMemory {
  readonly #known = new Map<string, Known>();
  /** In the queue already, and not to be removed. Of these none is forgotten: it would be queued again. */
  readonly #stuck = new Map<string, string>();

  /** Why the file was refused; null when it was not, or is another now. */
  refusal(name: string, stat: Identity): Error | null {
    return this.#of(name, stat)?.error ?? null;
  }

  refuse(name: string, stat: Identity, error: Error): void {
    this.#note(name, stat).error = error;
  }

  /** True when nobody has been told of the file as it is. */
  isNews(name: string, stat: Identity): boolean {
    const known = this.#note(name, stat);
    const news = !known.told;
    known.told = true;
    return news;
  }

  isStuck(name: string, { dev, ino }: Identity): boolean {
    return this.#stuck.get(name) === `${dev} ${ino}`;
  }

  stick(name: string, { dev, ino }: Identity): void {
    this.#stuck.set(name, `${dev} ${ino}`);
  }

  /** The file is gone. */
  forget(name: string): void {
    this.#known.delete(name);
    this.#stuck.delete(name);
  }

  #of(name: string, stat: Identity): Known | null {
    const known = this.#known.get(name);
    return known?.stamp === stampOf(stat) ? known : null;
  }

  #note(name: string, stat: Identity): Known {
    const known = this.#of(name, stat);
    if (known) return known;
    const note = { stamp: stampOf(stat), error: null, told: false };
    this.#known.delete(name);
    this.#known.set(name, note);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    return note;
  }
}

function stampOf({ dev, ino, ctimeMs, size }: Identity): string {
  return `${dev} ${ino} ${ctimeMs} ${size}`;
}
