/** A constant map of control lines, looked up without regard to ASCII case (C qmail: constmap.c). */

/** Lower-cases A–Z and nothing else: control files hold bytes, not text of some language. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** A set of lines, as `locals` or `percenthack`. */
export class ConstSet {
  readonly #keys: ReadonlySet<string>;

  constructor(lines: readonly string[]) {
    this.#keys = new Set(lines.map(lowerAscii));
  }

  has(key: string): boolean {
    return this.#keys.has(lowerAscii(key));
  }
}

/** `key:value` lines, as `virtualdomains`; lines without a colon do not count; the last of equal keys wins. */
export class ConstMap {
  readonly #values: ReadonlyMap<string, string>;

  constructor(lines: readonly string[]) {
    const values = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon < 0) continue;
      values.set(lowerAscii(line.slice(0, colon)), line.slice(colon + 1));
    }
    this.#values = values;
  }

  get(key: string): string | undefined {
    return this.#values.get(lowerAscii(key));
  }
}
