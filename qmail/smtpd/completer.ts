/**
 * The header of a message from a mail program: Date and Message-ID are added when they are missing
 * (RFC 6409 section 8), at the end of the header. Pure; holds no more than the beginning of a line.
 */

import type { HeaderRewriter } from "./rewriting.ts";

const LF = 10;
/** A field's name that is longer is none of those that are looked for. */
const NAME_MAX = 64;
const NOTHING = Buffer.alloc(0);

export interface HeaderCompleterOptions {
  /** Each field that must be there, by its name in lower case: what is added, with its newline. */
  readonly fields: Readonly<Record<string, string>>;
}

export class HeaderCompleter implements HeaderRewriter {
  /** It never stands in the way of a message. */
  readonly refusal = null;
  readonly #missing: Map<string, string>;
  #held: Buffer = NOTHING;
  #state: "first" | "header" | "in-line" | "body" = "first";

  constructor({ fields }: HeaderCompleterOptions) {
    this.#missing = new Map(Object.entries(fields));
  }

  /** Decoded bytes of the message; what goes into the queue for them. */
  push(data: Buffer): Buffer {
    if (this.#state === "body") return data;
    const input = this.#held.length > 0 ? Buffer.concat([this.#held, data]) : data;
    this.#held = NOTHING;
    let at = 0;
    while (at < input.length) {
      const lf = input.indexOf(LF, at);
      if (this.#state !== "in-line") {
        const end = lf < 0 ? input.length : lf;
        if (lf < 0 && end - at < NAME_MAX) {
          this.#held = Buffer.from(input.subarray(at));
          return input.subarray(0, at);
        }
        const added = this.#beginLine(input.toString("latin1", at, Math.min(end, at + NAME_MAX)));
        if (added !== null) {
          this.#state = "body";
          return Buffer.concat([input.subarray(0, at), added, input.subarray(at)]);
        }
      }
      this.#state = lf < 0 ? "in-line" : "header";
      at = lf < 0 ? input.length : lf + 1;
    }
    return input;
  }

  /** The message is complete. */
  end(): Buffer {
    if (this.#state === "body") return NOTHING;
    const line = this.#held;
    const added = line.length > 0 ? this.#beginLine(line.toString("latin1")) : null;
    if (added !== null) return Buffer.concat([added, line]);
    const newline = line.length > 0 || this.#state === "in-line" ? "\n" : "";
    return Buffer.concat([line, Buffer.from(newline + this.#fields(), "latin1")]);
  }

  /** What must go in before the line that begins with `start`; null while the header goes on. */
  #beginLine(start: string): Buffer | null {
    if (start === "") return Buffer.from(this.#fields(), "latin1");
    const name = /^([!-9;-~]+)[ \t]*:/.exec(start)?.[1];
    if (name !== undefined) this.#missing.delete(name.toLowerCase());
    // A message that begins with no field has no header: it gets one, with the blank line behind it.
    else if (this.#state === "first" && !/^[!-9;-~]{64}/.test(start)) {
      return Buffer.from(`${this.#fields()}\n`, "latin1");
    }
    return null;
  }

  #fields(): string {
    return [...this.#missing.values()].join("");
  }
}
