/** How a client behaves: its errors, and the commands that bring nothing forward. Pure. */

import type { Limits } from "./limits.ts";
import * as replies from "./replies.ts";

/** Commands that anybody may give for ever without a message. */
const JUNK = new Set(["NOOP", "RSET", "VRFY", "HELP", "HELO", "EHLO", "MAIL"]);
/** What begins a request of HTTP, which a browser can be made to send here, with SMTP behind it. */
const HTTP = new Set("GET POST CONNECT HEAD PUT DELETE OPTIONS TRACE PATCH PRI".split(" "));

/** True when `verb`, the first word of a line, is of another protocol, or the name of a header field. */
export function isForeign(verb: string): boolean {
  return HTTP.has(verb) || /^[!-9;-~]+:$/.test(verb);
}

export class Manners {
  readonly #limits: () => Limits;
  #errors = 0;
  #junk = 0;
  /** Recipients of the message that was begun last that were too many: a client may have sent them all at once. */
  #beyond = 0;

  /** `limits` are asked each time, since patience may become short. */
  constructor(limits: () => Limits) {
    this.#limits = limits;
  }

  /** True when it has made too many errors. */
  get exhausted(): boolean {
    return this.#errors >= this.#limits().maxErrors;
  }

  /** A message is in the queue. */
  forgive(): void {
    this.#errors = 0;
    this.#junk = 0;
  }

  /** A command comes. */
  command(verb: string, argument: string): void {
    if (verb === "MAIL") this.#beyond = 0;
    const junk = JUNK.has(verb) || (verb === "BDAT" && /^0+ *$/.test(argument));
    if (junk && ++this.#junk > this.#limits().maxJunk) this.#errors++;
  }

  /** What it is told. True when the client is to wait for it. */
  hear(reply: string): boolean {
    if (reply[0] !== "4" && reply[0] !== "5")
      return this.#isSlow && this.#junk > this.#limits().maxJunk;
    if (reply === replies.tooManyRecipients() && ++this.#beyond <= this.#limits().maxRcpt)
      return false;
    this.#errors++;
    return this.#isSlow;
  }

  get #isSlow(): boolean {
    return this.#errors > this.#limits().slowErrors;
  }
}
