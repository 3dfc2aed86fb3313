/**
 * How far a delivery has come in its .qmail file: what is done is not done again when a later line must wait.
 * Lines are done in their order, so the last of them says it all. Forwards do not count: they leave together, at the end.
 */

import { createHash } from "node:crypto";
import type { Found } from "./find.ts";

const FORM = /^([0-9a-f]{32}):(\d{1,9})(\.?)$/;

export class Progress {
  readonly #digest: string;
  /** The last line that is done; 0: none. */
  #line = 0;
  /** Nothing behind it is to be done: a program has said so (exit 99). */
  #ended = false;

  /** What `text` says of the last try, if that was by the same file with the same content. */
  constructor(found: Pick<Found, "file" | "text">, text: string) {
    const hash = createHash("sha256");
    hash.update(`${found.file ?? ""}\0${found.text}`, "latin1");
    this.#digest = hash.digest("hex").slice(0, 32);
    const [, digest, line, dot] = FORM.exec(text) ?? [];
    if (digest !== this.#digest) return;
    this.#line = Number(line);
    this.#ended = dot === ".";
  }

  /** Whether line `number`, from 1, was done before. */
  has(number: number): boolean {
    return number <= this.#line;
  }

  /** Whether line `number` was done, and nothing behind it is to be. */
  endsAt(number: number): boolean {
    return this.#ended && number === this.#line;
  }

  /** Whether nothing is left but to forward. */
  get ended(): boolean {
    return this.#ended;
  }

  add(number: number, { last }: { readonly last: boolean }): void {
    this.#line = number;
    this.#ended = last;
  }

  /** What the next try is to be told; empty when it must begin at the beginning. */
  get text(): string {
    return this.#line === 0 ? "" : `${this.#digest}:${this.#line}${this.#ended ? "." : ""}`;
  }
}
