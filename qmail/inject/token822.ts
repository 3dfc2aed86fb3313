/**
 * The words of an address field (RFC 822 section 3; C qmail: token822.c): atoms, quoted strings,
 * comments, domain literals and the characters with a meaning of their own.
 *
 * Tokens hold their text without quoting and without line breaks; `unparse` quotes again what needs
 * it. Spaces are not kept: they return where two words would otherwise run together.
 */

export type WordType = "atom" | "quote" | "literal" | "comment";
/** Words and what is between them, as they were written; `tokenise` makes none. */
export type Raw = "raw";
export type Special = "<" | ">" | "@" | "," | ";" | ":" | ".";

/** One token; the `text` of a special is the character itself. */
export interface Token {
  readonly type: WordType | Special | Raw;
  readonly text: string;
}

/** A token and where it stands in the text. */
export interface Placed {
  readonly token: Token;
  readonly from: number;
  readonly to: number;
}

/** Longest line that `unparse` makes, if a comma is there to break at. */
const LINE_LENGTH = 80;

const SPACES = new Set([" ", "\t", "\r", "\n"]);
const SPECIALS: ReadonlySet<string> = new Set<Special>(["<", ">", "@", ",", ";", ":", "."]);
const ENCLOSED: Readonly<Record<string, { type: WordType; close: string }>> = {
  "(": { type: "comment", close: ")" },
  '"': { type: "quote", close: '"' },
  "[": { type: "literal", close: "]" },
};

interface Scan {
  readonly token: Token;
  readonly next: number;
}

/** The token for the character `char`. */
export function special(char: Special): Token {
  return { type: char, text: char };
}

/** `text` as a word: an atom where that is possible, else a quoted string. */
export function word(text: string): Token {
  const atom = /^[!#-'*+\-/0-9=?A-Z^-~]+$/.test(text);
  return { type: atom ? "atom" : "quote", text };
}

/** The tokens of `text`; null when a quote, comment or literal is not closed, or closed but never opened. */
export function tokenise(text: string): Token[] | null {
  return placed(text)?.map(({ token }) => token) ?? null;
}

/** As `tokenise`, with the places. */
export function placed(text: string): Placed[] | null {
  const tokens: Placed[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (SPACES.has(char)) {
      at++;
    } else if (SPECIALS.has(char)) {
      tokens.push({ token: special(char as Special), from: at, to: at + 1 });
      at++;
    } else {
      const scan = scanWord(text, at);
      if (scan === null) return null;
      tokens.push({ token: scan.token, from: at, to: scan.next });
      at = scan.next;
    }
  }
  return tokens;
}

function scanWord(text: string, at: number): Scan | null {
  const char = text.charAt(at);
  if (char === ")" || char === "]") return null;
  return char in ENCLOSED ? scanEnclosed(text, at) : scanAtom(text, at);
}

function scanEnclosed(text: string, at: number): Scan | null {
  const open = text.charAt(at);
  const { type, close } = ENCLOSED[open] as { type: WordType; close: string };
  let content = "";
  let depth = 1;
  for (let i = at + 1; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === close) {
      depth--;
      if (depth === 0) return { token: { type, text: content }, next: i + 1 };
    } else if (char === "(" && type === "comment") {
      depth++;
    } else if (char === "\\") {
      i++;
      if (i === text.length) return null;
      content += unfolded(text, i);
    } else {
      content += unfolded(text, i);
    }
  }
  return null;
}

/** The character at `at`, unless it belongs to a line break: that is folding and no part of the text. */
function unfolded(text: string, at: number): string {
  const char = text.charAt(at);
  return char === "\n" || (char === "\r" && text.charAt(at + 1) === "\n") ? "" : char;
}

function scanAtom(text: string, at: number): Scan {
  let content = "";
  let i = at;
  for (; i < text.length; i++) {
    const char = text.charAt(i);
    if (SPACES.has(char) || SPECIALS.has(char) || char in ENCLOSED) break;
    if (char === "\\") i++;
    content += unfolded(text, i);
  }
  return { token: word(content), next: Math.min(i, text.length) };
}

/** The tokens as a header field with its newline, folded after commas where it grows too long. */
export function unparse(tokens: readonly Token[]): string {
  let done = "";
  let line = "";
  let part = "";
  let last: Token | undefined;
  const endPart = () => {
    // The two more are the break that may have to stand before this part.
    if (line === "" || part === "" || line.length + 2 + part.length <= LINE_LENGTH) {
      line += part;
    } else {
      done += `${line}\n`;
      line = ` ${part}`;
    }
    part = "";
  };
  for (const token of tokens) {
    if (last && needSpace(last, token)) part += " ";
    part += written(token);
    if (token.type === ",") endPart();
    last = token;
  }
  endPart();
  return `${done}${line}\n`;
}

/** What would end the word, or is none of its text. */
const ESCAPED = { quote: /["\\\r]/g, literal: /[\]\\\r]/g, comment: /[()\\\r]/g } as const;

function written({ type, text }: Token): string {
  const escaped = () => text.replaceAll("\n", " ").replace(ESCAPED[type as "quote"], "\\$&");
  switch (type) {
    case "quote":
      return `"${escaped()}"`;
    case "literal":
      return `[${escaped()}]`;
    case "comment":
      return `(${escaped()})`;
    default:
      return text;
  }
}

function needSpace(left: Token, right: Token): boolean {
  if (left.type === ":" || left.type === "," || right.type === "<") return true;
  return isWord(left) && isWord(right);
}

function isWord(token: Token): boolean {
  return !SPECIALS.has(token.type);
}

/** The tokens of an address as the plain address: no quotes, no comments. */
export function unquote(tokens: readonly Token[]): string {
  return tokens
    .map(({ type, text }) => (type === "comment" ? "" : type === "literal" ? `[${text}]` : text))
    .join("");
}
