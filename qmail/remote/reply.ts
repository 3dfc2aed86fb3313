/**
 * SMTP replies as they come over the wire, in whatever pieces (RFC 5321 section 4.2). A line without a code belongs to the
 * reply that is under way; where there is none it is passed over. Pure.
 */

export interface Reply {
  /** 0 for what is no reply. */
  readonly code: number;
  /** All lines with their codes, each with a newline; cut where it gets absurd. */
  readonly text: string;
}

const LF = 10;
/** Of a reply so much is kept, for the log and the bounce. */
const KEPT_MAX = 5000;
/** A server that says more than this in one reply means no good. */
const REPLY_MAX = 1 << 20;

/** The server said more than anybody would in one reply. */
export class EndlessReplyError extends Error {}

export class ReplyReader {
  /** What is kept of a line whose end has not come, without CR. */
  #line = "";
  /** Bytes since the last whole reply. */
  #read = 0;
  /** Lines of the reply under way. */
  #text = "";
  /** Lines since the last whole reply that belong to none. */
  #stray = "";
  readonly #onStray: (line: string) => void;

  /** `onStray` is told of each line that is passed over. */
  constructor(onStray: (line: string) => void = () => {}) {
    this.#onStray = onStray;
  }

  /** True when bytes wait that no whole reply has been made of. */
  get pending(): boolean {
    return this.#text !== "" || this.#line !== "";
  }

  /** What was said of a refusal that has no end yet, or in place of a reply; "" when there is nothing of the kind. */
  get unfinished(): string {
    if (this.#text === "") return this.#stray;
    return /^[45]/.test(this.#text) ? this.#text : "";
  }

  /** Takes `bytes`; returns the replies that are whole now. Throws EndlessReplyError. */
  push(bytes: Buffer): Reply[] {
    const replies: Reply[] = [];
    // Each byte is looked at once, in whatever pieces they come.
    for (let at = 0; at < bytes.length; ) {
      // A bare LF ends a line too: what the server means is plain, and nothing hangs on it.
      const lf = bytes.indexOf(LF, at);
      const end = lf < 0 ? bytes.length : lf;
      if (this.#line.length < KEPT_MAX) {
        const most = Math.min(end, at + KEPT_MAX);
        this.#line += bytes.toString("latin1", at, most).replaceAll("\r", "");
      }
      const next = lf < 0 ? end : lf + 1;
      this.#read += next - at;
      at = next;
      if (this.#read > REPLY_MAX) throw new EndlessReplyError();
      const reply = lf < 0 ? null : this.#endLine();
      if (reply) replies.push(reply);
    }
    return replies;
  }

  #endLine(): Reply | null {
    const line = this.#line.slice(0, KEPT_MAX);
    this.#line = "";
    const coded = /^\d{3}(?:[ -]|$)/.test(line);
    if (!coded && this.#text === "") {
      if (this.#stray.length < KEPT_MAX) this.#stray += `${line}\n`;
      this.#onStray(line);
      return null;
    }
    if (this.#text.length < KEPT_MAX) this.#text += `${line}\n`;
    // Between the first line of a reply and its last one all belongs to it.
    if (!coded || line[3] === "-") return null;
    const code = /^[1-5]/.test(line) ? Number(line.slice(0, 3)) : 0;
    const reply = { code, text: this.#text };
    this.#text = "";
    this.#stray = "";
    this.#read = 0;
    return reply;
  }
}

/**
 * Null for success, which is 2xx and nothing else. D for a refusal for good, and for 3xx, which asks for what was not
 * offered: it will not do so tomorrow. Z for a refusal for now, and for what is no reply at all.
 */
export function severity({ code }: Reply): "D" | "Z" | null {
  if (code >= 500 || (code >= 300 && code < 400)) return "D";
  return code >= 200 && code < 300 ? null : "Z";
}

/** What an EHLO reply offers: keywords in upper case with their parameters; of AUTH those of all its lines. */
export function parseExtensions({ text }: Reply): ReadonlyMap<string, string> {
  const [, ...all] = text.trimEnd().split("\n");
  const lines = all.filter((line) => /^\d{3}[ -]/.test(line));
  // `AUTH=LOGIN` is what some servers say for `AUTH LOGIN`.
  const words = lines.map((line) => /^([A-Za-z0-9-]+)(?:[ =](.*))?$/.exec(line.slice(4)));
  const extensions = new Map<string, string>();
  for (const [, keyword = "", parameters = ""] of words.filter((word) => word !== null)) {
    const name = keyword.toUpperCase();
    const before = name === "AUTH" ? extensions.get(name) : undefined;
    extensions.set(name, before === undefined ? parameters : `${before} ${parameters}`);
  }
  return extensions;
}
