/**
 * Address lists (RFC 822 section 6; C qmail: token822.c): finds every address in a field, lets it be
 * rewritten in place and leaves phrases, comments and groups as they are.
 *
 * The walk goes from right to left, where one look decides: after `>` comes an address in angle
 * brackets, after `;` a group, and everything else is a plain address.
 */

import { withoutRoute } from "./rewrite.ts";
import { type Placed, placed, special, type Token, unquote } from "./token822.ts";

/** Gives the address its new form; null when it is none. */
export type Rewrite = (address: readonly Token[]) => readonly Token[] | null;

export interface AddressList {
  /** The whole field with the rewritten addresses in it. */
  readonly tokens: readonly Token[];
  /** The rewritten addresses, plain, from left to right. */
  readonly addresses: readonly string[];
}

/** The address list of the field `field`, whose first two tokens are its name and the colon; null for a malformed one. */
export function addressList(field: string, rewrite: Rewrite): AddressList | null {
  return new Walk(field, rewrite).list();
}

/**
 * The addresses in the argument `text`; null for a malformed one. qmail means one plain address by an
 * argument; callers of sendmail write `a@x, Joe <b@x>`, `<>`, spaces and quotes, too, as in a header.
 */
export function plainAddresses(text: string): readonly string[] | null {
  const plain = text.trim();
  if (!/[,<"()\s]/.test(plain)) return [plain];
  return addressList(`List: ${plain}`, withoutRoute)?.addresses ?? null;
}

const PHRASE: ReadonlySet<string> = new Set(["comment", "atom", "quote", "literal", "@", "."]);

/** The field's name and the colon. */
const NAME_TOKENS = 2;

/** What a phrase may keep as it is; words with other bytes get quotes. */
const PRINTABLE = /^[ -~\t]+$/;

class Walk {
  readonly #field: string;
  /** Null: the field is malformed. */
  readonly #tokens: readonly Placed[] | null;
  readonly #rewrite: Rewrite;
  /** What is done, from right to left, as are the next two. */
  readonly #out: Token[] = [];
  readonly #addresses: string[] = [];
  #address: Token[] = [];
  #at: number;
  #inGroup = false;
  /** Whether another word may belong to the address at hand: not right beside a word. */
  #wordOk = true;
  /** The last thing done was `Phrase <address>`, and no comma has come since. */
  #afterMailbox = false;

  constructor(field: string, rewrite: Rewrite) {
    this.#field = field;
    this.#tokens = placed(field);
    this.#rewrite = rewrite;
    this.#at = (this.#tokens?.length ?? 0) - 1;
  }

  list(): AddressList | null {
    if (this.#tokens === null) return null;
    const start = this.#tokens.slice(0, NAME_TOKENS).map(({ token }) => token);
    for (let token = this.#peek(); token; token = this.#peek()) {
      if (!this.#step(token)) return null;
    }
    if (!this.#flush()) return null;
    return {
      tokens: [...start, ...this.#out.reverse()],
      addresses: this.#addresses.reverse(),
    };
  }

  /** Takes what begins at `token`; false when that cannot stand here. */
  #step(token: Token): boolean {
    switch (token.type) {
      case ";":
        return this.#groupEnd();
      case ":":
        return this.#groupStart();
      case ">":
        return this.#mailbox();
      case "<":
        return false;
      case "comment":
        this.#keep();
        return true;
      case ",":
        this.#wordOk = true;
        this.#afterMailbox = false;
        return this.#flush() && this.#keep();
      case "@":
      case ".":
        return this.#part(true);
      default:
        return (this.#wordOk || this.#separate()) && this.#part(false);
    }
  }

  #groupEnd(): boolean {
    if (this.#inGroup || !this.#separate()) return false;
    this.#inGroup = true;
    this.#wordOk = true;
    return this.#keep();
  }

  /** The colon, the group's name, and the comma before it. */
  #groupStart(): boolean {
    if (!this.#inGroup || !this.#flush()) return false;
    this.#inGroup = false;
    this.#afterMailbox = false;
    this.#wordOk = true;
    this.#keep();
    for (let token = this.#peek(); token; token = this.#peek()) {
      if (token.type === ";" || token.type === ":" || token.type === ">") break;
      if (PHRASE.has(token.type)) this.#keepPhrase();
      else this.#keep();
      if (token.type === ",") return true;
    }
    // Another group or mailbox without a comma between.
    if (this.#peek()) this.#out.push(special(","));
    return true;
  }

  #mailbox(): boolean {
    if (!this.#separate()) return false;
    this.#keep();
    while (this.#peek() && this.#peek()?.type !== "<") {
      this.#part(false);
    }
    // An empty address counts here: <> is the sender of a bounce.
    if (!this.#peek() || !this.#finish()) return false;
    this.#keep();
    this.#keepPhrase();
    this.#wordOk = false;
    this.#afterMailbox = true;
    return true;
  }

  /** The words before a mailbox or of a group's name, as they were written where that is possible. */
  #keepPhrase(): void {
    const last = this.#at;
    let first = last;
    for (; first >= NAME_TOKENS && PHRASE.has(this.#tokenAt(first)?.type ?? ""); first--);
    const words = this.#tokens?.slice(first + 1, last + 1) ?? [];
    const text = this.#field.slice(words[0]?.from, words.at(-1)?.to).replace(/\r?\n/g, "");
    if (words.length > 0 && PRINTABLE.test(text)) {
      this.#out.push({ type: "raw", text });
      this.#at = first;
    } else while (this.#at > first) this.#keep();
  }

  #part(wordOk: boolean): boolean {
    this.#address.push(this.#peek() as Token);
    this.#at--;
    this.#wordOk = wordOk;
    return true;
  }

  #peek(): Token | undefined {
    return this.#tokenAt(this.#at);
  }

  #tokenAt(at: number): Token | undefined {
    return at < NAME_TOKENS ? undefined : this.#tokens?.[at]?.token;
  }

  #keep(): true {
    this.#out.push(this.#peek() as Token);
    this.#at--;
    return true;
  }

  #finish(): boolean {
    const address = this.#rewrite(this.#address.reverse());
    this.#address = [];
    if (address === null) return false;
    for (let i = address.length - 1; i >= 0; i--) this.#out.push(address[i] as Token);
    this.#addresses.push(unquote(address));
    return true;
  }

  #flush(): boolean {
    return this.#address.length === 0 || this.#finish();
  }

  /** Ends the address to the right and puts the comma that should have been there. */
  #separate(): boolean {
    const needed = this.#address.length > 0 || this.#afterMailbox;
    if (!this.#flush()) return false;
    if (needed) this.#out.push(special(","));
    this.#afterMailbox = false;
    return true;
  }
}
