/** A queue out of whose middle things can be taken, too. */
export class OrderedSet<T> {
  readonly #items = new Set<T>();
  /** Where the reading is: to begin anew would pass over the places of all that was taken out. */
  #cursor = this.#items.values();

  get size(): number {
    return this.#items.size;
  }

  add(item: T): void {
    this.#items.add(item);
  }

  /** False when it was not there. */
  delete(item: T): boolean {
    return this.#items.delete(item);
  }

  /** The next in order, which stays; those that were seen come again when all were. Undefined when there is none. */
  next(): T | undefined {
    const { value, done } = this.#cursor.next();
    if (!done) return value;
    this.#cursor = this.#items.values();
    return this.#cursor.next().value;
  }

  /** Takes out the next in order. */
  shift(): T | undefined {
    const item = this.next();
    if (item !== undefined) this.#items.delete(item);
    return item;
  }
}
