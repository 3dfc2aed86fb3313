/**
 * Deliveries of one worker that wait for something of their own user's: for these qmail-send has slots of
 * their own, so that nobody else waits for that user. The worker is his, and so is what it says: more than a
 * number of them at once take slots as all others do.
 */

/** So many deliveries of one worker are passed on as waiting. */
export const WAITING_EACH = 100;

export class Waiting {
  readonly #pass: (id: number, waits: boolean) => void;
  /** In the order in which they said so. */
  readonly #all = new Set<number>();
  readonly #passed = new Set<number>();

  /** `pass` is called when a delivery counts as waiting, and when it does no more but goes on. */
  constructor(pass: (id: number, waits: boolean) => void) {
    this.#pass = pass;
  }

  /** Delivery `id` waits, or goes on. */
  say(id: number, waits: boolean): void {
    if (!waits) {
      if (this.#passed.has(id)) this.#pass(id, false);
      this.end(id);
    } else if (!this.#all.has(id)) {
      this.#all.add(id);
      this.#fill();
    }
  }

  /** Delivery `id` is no more: its place is the next one's. */
  end(id: number): void {
    if (!this.#all.delete(id)) return;
    if (this.#passed.delete(id)) this.#fill();
  }

  #fill(): void {
    for (const id of this.#all) {
      if (this.#passed.size >= WAITING_EACH) return;
      if (this.#passed.has(id)) continue;
      this.#passed.add(id);
      this.#pass(id, true);
    }
  }
}
