/** What ofmipd makes of a mail program's message: addresses completed, names from the table (ofmipd(8)). */

import type { ByteEnv } from "../arguments.ts";
import type { Control } from "../control/control.ts";
import { Header } from "../inject/header.ts";
import { HeaderBody } from "../inject/headerbody.ts";
import { type Domains, readDomains, rewriteAddress } from "../inject/rewrite.ts";
import { tokenise, unquote } from "../inject/token822.ts";
import { quoteAddress } from "../quote.ts";
import type { HeaderRewriter, Rewriting } from "../smtpd/rewriting.ts";
import type { Name } from "./names.ts";

/** A header is held whole until its end is there. */
const HEADER_MAX = 1 << 20;

export interface OfmipOptions {
  readonly control: Control;
  readonly env: ByteEnv;
  /** What the table says of a complete address; null: nothing. */
  readonly find: (address: string) => Name | null;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly pid: number;
}

/** For one session. Throws when a control file cannot be read or understood. */
export class OfmipRewriting implements Rewriting {
  readonly #options: OfmipOptions;
  readonly #domains: Domains;
  readonly #idhost: string;
  /** Of the message to come. */
  #sender: Name = { name: "", address: "" };
  #named = false;
  #messages = 0;

  constructor(options: OfmipOptions) {
    const { control, env } = options;
    const domains = readDomains(control, env);
    if (typeof domains === "string") throw new Error(domains);
    this.#options = options;
    this.#domains = domains;
    this.#idhost = env.QMAILIDHOST ?? control.lineOr("idhost", true, "idhost");
  }

  sender(address: string): string | null {
    const complete = this.recipient(address);
    if (complete === null) return null;
    const found = complete === "" ? null : this.#options.find(complete);
    this.#named = found !== null;
    this.#sender = found ?? { name: "", address: complete };
    return this.#sender.address;
  }

  recipient(address: string): string | null {
    if (address === "") return "";
    const tokens = tokenise(quoteAddress(address));
    const complete = tokens && rewriteAddress(tokens, this.#domains);
    return complete && unquote(complete);
  }

  header(): HeaderRewriter {
    const { name, address } = this.#sender;
    const at = address.lastIndexOf("@");
    const user = at < 0 ? address : address.slice(0, at);
    const host = at < 0 ? null : address.slice(at + 1);
    const { now, pid } = this.#options;
    // The second message of a session needs another Message-ID, too.
    const number = this.#messages++;
    return new OfmipHeader(
      new Header({
        domains: this.#domains,
        identity: {
          ...{ user, host, name, senderUser: user, senderHost: host },
          // f: whatever stands in From, ours goes in its place.
          letters: new Set(this.#named ? "f" : ""),
        },
        idhost: number === 0 ? this.#idhost : `${number}.${this.#idhost}`,
        now: now(),
        pid,
        sender: address,
        useRecipients: false,
        isList: () => false,
      }),
    );
  }
}

class OfmipHeader implements HeaderRewriter {
  readonly #header: Header;
  readonly #message: HeaderBody;
  #length = 0;
  #done = false;
  refusal: string | null = null;

  constructor(header: Header) {
    this.#header = header;
    this.#message = new HeaderBody((field) => header.field(field));
  }

  push(data: Buffer): Buffer {
    if (this.refusal !== null) return Buffer.alloc(0);
    if (!this.#message.inBody) this.#length += data.length;
    // What is decoded next may be written over these bytes, and the header keeps them.
    const body = this.#message.push(this.#message.inBody ? data : Buffer.from(data));
    if (!this.#message.inBody && this.#length > HEADER_MAX) this.refusal = "header is too long";
    return this.#out(body);
  }

  end(): Buffer {
    return this.#out(this.#message.end());
  }

  #out(body: readonly Buffer[]): Buffer {
    if (!this.#message.inBody || this.#done) return Buffer.concat(body);
    this.#done = true;
    const finished = this.#header.finish();
    if (typeof finished !== "string") {
      return Buffer.concat([Buffer.from(finished.header, "latin1"), ...body]);
    }
    this.refusal = finished;
    return Buffer.alloc(0);
  }
}
