/**
 * Recipients as sendmail writes them, in .forward, /etc/aliases and :include: files: addresses as in a
 * header field, programs behind a bar, files, included lists (dot-forward(1), newaliases(1)). Pure.
 *
 * A line is read from right to left, as header fields are (inject/addresslist.ts). It is not that grammar,
 * though: colons and semicolons make no groups, they separate as commas do.
 */

import { type Domains, rewriteAddress } from "../inject/rewrite.ts";
import { type Token, tokenise, unquote } from "../inject/token822.ts";

/** One recipient. Strings are byte strings. */
export type Recipient =
  /** `bare` is the address as it was written, without quotes, when it had no host. */
  | { readonly type: "address"; readonly address: string; readonly bare: string | null }
  | { readonly type: "program"; readonly command: string }
  | { readonly type: "include"; readonly file: string }
  | { readonly type: "file"; readonly name: string };

/** Why a line has no recipients that could be used; the text says it. */
export class ListError extends Error {}

/** A recipient before its host is completed. */
type Item = { readonly include: boolean; readonly tokens: readonly Token[] };

/** The recipients in `line`, from right to left. Throws ListError. */
export function recipientsIn(line: string, domains: Domains): Recipient[] {
  return itemsIn(line).map((item) => recipient(item, { line, domains }));
}

/** As `recipientsIn` for a line of /etc/aliases, whose leftmost address is the alias. Throws ListError. */
export function aliasIn(
  line: string,
  domains: Domains,
): { readonly alias: string; readonly recipients: readonly Recipient[] } | null {
  const items = itemsIn(line);
  if (items.length === 0) return null;
  const alias = items.pop() as Item;
  if (items.length === 0 || alias.include) throw unparsable(line);
  return {
    alias: unquote(alias.tokens),
    recipients: items.map((item) => recipient(item, { line, domains })),
  };
}

function unparsable(line: string): ListError {
  return new ListError(`unable to parse this line: ${line}`);
}

function itemsIn(line: string): Item[] {
  const tokens = tokenise(line);
  const items = tokens && new Walk(tokens).items();
  if (!items) throw unparsable(line);
  return items;
}

const PHRASE: ReadonlySet<string> = new Set(["comment", "atom", "quote", "@", "."]);

class Walk {
  readonly #tokens: readonly Token[];
  readonly #items: Item[] = [];
  /** The words of the item at hand, from right to left. */
  #words: Token[] = [];
  #at: number;
  /** Whether another word may belong to them: not right beside a word. */
  #wordOk = true;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#at = tokens.length - 1;
  }

  /** Null when the line cannot be read. */
  items(): Item[] | null {
    for (let token = this.#tokens[this.#at]; token; token = this.#tokens[this.#at]) {
      this.#at--;
      if (!this.#step(token)) return null;
    }
    this.#flush();
    return this.#items;
  }

  #step(token: Token): boolean {
    switch (token.type) {
      case "comment":
        return true;
      case ",":
      case ";":
        this.#flush();
        return true;
      case ":":
        if (!this.#include()) this.#flush();
        return true;
      case ">":
        return this.#brackets();
      case "<":
        return false;
      case "@":
      case ".":
        this.#words.push(token);
        this.#wordOk = true;
        return true;
      default:
        if (!this.#wordOk) this.#flush();
        this.#words.push(token);
        this.#wordOk = false;
        return true;
    }
  }

  /** What is left of a colon makes it the end of `:include:`. */
  #include(): boolean {
    const [colon, word] = [this.#tokens[this.#at - 1], this.#tokens[this.#at]];
    if (colon?.type !== ":" || word?.type !== "atom" || word.text.toLowerCase() !== "include") {
      return false;
    }
    this.#at -= 2;
    this.#items.push({ include: true, tokens: this.#words.reverse() });
    this.#words = [];
    this.#wordOk = true;
    return true;
  }

  #brackets(): boolean {
    this.#flush();
    for (let token = this.#tokens[this.#at]; token?.type !== "<"; token = this.#tokens[this.#at]) {
      if (!token) return false;
      this.#words.push(token);
      this.#at--;
    }
    this.#at--;
    // An empty address counts here: it is what cannot be forwarded to.
    this.#items.push({ include: false, tokens: this.#words.reverse() });
    this.#words = [];
    while (PHRASE.has(this.#tokens[this.#at]?.type ?? "")) this.#at--;
    return true;
  }

  #flush(): void {
    this.#wordOk = true;
    if (this.#words.length === 0) return;
    this.#items.push({ include: false, tokens: this.#words.reverse() });
    this.#words = [];
  }
}

function recipient(
  { include, tokens }: Item,
  { line, domains }: { line: string; domains: Domains },
): Recipient {
  const text = unquote(tokens);
  if (/[\n\0]/.test(text)) throw new ListError(`newline or NUL in recipient "${text}"`);
  if (include) {
    if (text === "") throw new ListError("empty :include: filenames not permitted");
    return { type: "include", file: text };
  }
  if (text === "") throw new ListError("empty recipient addresses not permitted");
  const bare = tokens.every(({ type }) => type !== "@");
  if (bare && text.startsWith("|")) return { type: "program", command: text.slice(1) };
  if (bare && text.startsWith("/")) return { type: "file", name: text };
  const complete = rewriteAddress(tokens, domains);
  if (!complete) throw unparsable(line);
  return { type: "address", address: unquote(complete), bare: bare ? text : null };
}
