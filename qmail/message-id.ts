/** The Message-ID of a message that passes by (RFC 5322 section 3.6.4), for the doors' log lines. */

/** A header is looked at so far. */
const HEADER_MAX = 64 * 1024;
/** So much of a Message-ID is kept: those that are about have 30 to 100 bytes. */
const ID_MAX = 200;
/** The field, from its first byte: its text may begin on the next line. */
const FIELD = /(?:^|\n)message-id[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)/i;
const END = Buffer.from("\n\n");

/** The Message-ID in the text of a header, in its angle brackets when it has them; null when there is none. */
export function findMessageId(header: string): string | null {
  const text =
    FIELD.exec(header)?.[1]
      ?.replace(/[\r\n]+/g, "")
      .trim() ?? "";
  return text === "" ? null : (/<[^<>]*>/.exec(text)?.[0] ?? text).slice(0, ID_MAX);
}

/** True when both name one message: brackets and what a log had to leave out of them do not count. */
export function sameMessageId(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

function plain(id: string): string {
  const cut = id
    .trim()
    .replace(/[<>]/g, "")
    .slice(0, ID_MAX - 1);
  return cut.replace(/[^!-~]/g, "_").toLowerCase();
}

/** Finds it in a message that comes in pieces. */
export class MessageIdWatch {
  #header = "";
  #over = false;
  #id: string | null = null;

  /** As far as it has been seen; what stands behind the header is never looked at. */
  get id(): string | null {
    if (this.#header !== "") {
      this.#id = findMessageId(this.#header);
      if (this.#over) this.#header = "";
    }
    return this.#id;
  }

  push(piece: Buffer): void {
    if (this.#over) return;
    const before = this.#header.length;
    const room = HEADER_MAX - before;
    const end = piece.indexOf(END);
    this.#header += piece.toString("latin1", 0, end < 0 ? room : Math.min(room, end));
    // The empty line may be cut in two, or be the first.
    const cut = before === 0 && piece[0] === 10 ? 0 : this.#header.indexOf("\n\n", before - 1);
    if (cut >= 0) this.#header = this.#header.slice(0, cut);
    this.#over = end >= 0 || cut >= 0 || this.#header.length >= HEADER_MAX;
  }
}
