/**
 * What is done of deliveries that are to be tried again, so that the next try does not do it again. In
 * memory: a crash forgets it, and so does who comes with too many; that makes a second copy, and loses none.
 */

import { createHash } from "node:crypto";

/** So many deliveries are remembered. */
const MAX = 10_000;

export class DoneLines {
  /** The longest known first. */
  readonly #all = new Map<string, string>();

  /** What was handed on of the delivery that `parts` name, all that tells it from others. */
  get(parts: readonly string[]): string {
    // Nearly always there is nothing to look for.
    return this.#all.size === 0 ? "" : (this.#all.get(keyOf(parts)) ?? "");
  }

  set(parts: readonly string[], progress: string): void {
    const key = keyOf(parts);
    this.#all.delete(key);
    this.#all.set(key, progress);
    const [longest] = this.#all.keys();
    if (this.#all.size > MAX && longest !== undefined) this.#all.delete(longest);
  }

  /** The delivery has come to its end. */
  forget(parts: readonly string[]): void {
    if (this.#all.size > 0) this.#all.delete(keyOf(parts));
  }
}

function keyOf(parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\0"), "latin1").digest("base64");
}
