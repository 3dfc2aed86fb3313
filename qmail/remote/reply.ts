/** SMTP replies as they come over the wire, in whatever pieces. Pure (RFC 5321 section 4.2). */

export interface Reply {
  /** 0 for what is no reply. */
  readonly code: number;
  /** All lines with their codes, each with a newline; cut where it gets absurd. */
  readonly text: string;
}

/** Of a reply so much is kept, for the log and the bounce. */
const KEPT_MAX = 5000;
/** A server that says more than this in one reply means no good. */
const REPLY_MAX = 1 << 20;

/** The server said more than anybody would in one reply. */
export class EndlessReplyError extends Error {}

export class ReplyReader {
  #input = "";
  /** Bytes of the reply under way. */
  #read = 0;
  #text = "";

  /** True when bytes wait that no whole reply has been made of. */
  get pending(): boolean {
    return this.#input !== "" || this.#text !== "";
  }

  /** Takes `bytes`; returns the replies that are whole now. Throws EndlessReplyError. */
  push(bytes: Buffer): Reply[] {
    this.#input += bytes.toString("latin1");
    const replies: Reply[] = [];
    for (let end = this.#input.indexOf("\n"); end >= 0; end = this.#input.indexOf("\n")) {
      // A bare LF ends a line too: what the server means is plain, and nothing hangs on it.
      const line = this.#input.slice(0, end).replaceAll("\r", "");
      this.#input = this.#input.slice(end + 1);
      const reply = this.#line(line);
      if (reply) replies.push(reply);
    }
    if (this.#read + this.#input.length > REPLY_MAX) throw new EndlessReplyError();
    return replies;
  }

  #line(line: string): Reply | null {
    this.#read += line.length + 1;
    if (this.#text.length < KEPT_MAX) this.#text += `${line.slice(0, KEPT_MAX)}\n`;
    if (/^\d{3}-/.test(line)) return null;
    const code = /^[1-5]\d\d(?: |$)/.test(line) ? Number(line.slice(0, 3)) : 0;
    const reply = { code, text: this.#text };
    this.#text = "";
    this.#read = 0;
    return reply;
  }
}

/** D for a refusal for good, Z for one for now and for what is no reply at all, null for anything else. */
export function severity({ code }: Reply): "D" | "Z" | null {
  if (code >= 500) return "D";
  return code >= 400 || code < 200 ? "Z" : null;
}

/** What an EHLO reply offers: keywords in upper case with their parameters. */
export function parseExtensions({ text }: Reply): ReadonlyMap<string, string> {
  const [, ...lines] = text.trimEnd().split("\n");
  // `AUTH=LOGIN` is what some servers say for `AUTH LOGIN`.
  const words = lines.map((line) => /^([A-Za-z0-9-]+)(?:[ =](.*))?$/.exec(line.slice(4)));
  return new Map(
    words.flatMap((word) => (word ? [[word[1]?.toUpperCase(), word[2] ?? ""]] : [])) as [
      string,
      string,
    ][],
  );
}
