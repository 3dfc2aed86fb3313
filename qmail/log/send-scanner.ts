/**
 * qmail-send's lines read from bytes, for logs of gigabytes: no string and no object is made per line.
 *
 * What the lines are is in send/log.ts, whose parser this one agrees with (there is a test for it).
 */

/** Who is told what a line says. `from` and `to` are where in the bytes an address or text is. */
export interface SendLines {
  newMsg(id: number): void;
  infoMsg(
    id: number,
    info: { bytes: number; qp: number; uid: number },
    from: number,
    to: number,
  ): void;
  starting(delivery: number, id: number, local: boolean, from: number, to: number): void;
  /** `outcome`: k, z or d, as its character code. */
  delivery(delivery: number, outcome: number, from: number, to: number): void;
  mangled(delivery: number): void;
  status(local: number, localMax: number, remote: number, remoteMax: number): void;
  bounceMsg(id: number, qp: number): void;
  endMsg(id: number): void;
  tripleBounce(): void;
  exiting(): void;
  /** A warning or an alert. */
  trouble(from: number, to: number): void;
}

/** The outcomes of `SendLines.delivery`. */
export const SUCCESS = 107;
export const DEFERRAL = 122;
export const FAILURE = 100;

const SPACE = 32;
const code = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));
const NEW = code("new msg ");
const INFO = code("info msg ");
const BYTES = code(": bytes ");
const FROM = code(" from <");
const STARTING = code("starting delivery ");
const MSG = code(": msg ");
const TO_LOCAL = code(" to local ");
const TO_REMOTE = code(" to remote ");
const DELIVERY = code("delivery ");
const SUCCESS_TEXT = code(": success: ");
const DEFERRAL_TEXT = code(": deferral: ");
const FAILURE_TEXT = code(": failure: ");
const MANGLED = code(": report mangled, will defer");
const STATUS = code("status: local ");
const REMOTE = code(" remote ");
const EXITASAP = code(" exitasap");
const EXITING = code("status: exiting");
const BOUNCE = code("bounce msg ");
const QP = code(" qp ");
const END = code("end msg ");
const TRIPLE = code("triple bounce: discarding ");
const WARNING = code("warning: ");
const ALERT = code("alert: ");

/** Tells `SendLines` what is in the lines given to `scan`. */
export class SendScanner {
  readonly #lines: SendLines;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #to = 0;

  constructor(lines: SendLines) {
    this.#lines = lines;
  }

  /** Reads one line without stamp and newline; false when it is none of qmail-send's. */
  scan(bytes: Uint8Array, from: number, to: number): boolean {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
    switch (bytes[from]) {
      case 110: // n
        return this.#new();
      case 105: // i
        return this.#info();
      case 115: // s
        return bytes[from + 3] === 114 ? this.#starting() : this.#status();
      case 100: // d
        return this.#delivery();
      case 98: // b
        return this.#bounce();
      case 101: // e
        return this.#end();
      case 116: // t
        if (!this.#word(TRIPLE)) return false;
        this.#lines.tripleBounce();
        return true;
      case 119: // w
      case 97: // a
        if (!this.#word(WARNING) && !this.#word(ALERT)) return false;
        this.#lines.trouble(from, to);
        return true;
      default:
        return false;
    }
  }

  #new(): boolean {
    if (!this.#word(NEW)) return false;
    const id = this.#number();
    if (id < 0 || this.#at !== this.#to) return false;
    this.#lines.newMsg(id);
    return true;
  }

  #info(): boolean {
    if (!this.#word(INFO)) return false;
    const id = this.#number();
    if (id < 0 || !this.#word(BYTES)) return false;
    const size = this.#number();
    if (size < 0 || !this.#word(FROM)) return false;
    const from = this.#at;
    // The sender may hold anything but spaces: the words behind it are found from the end.
    const uid = this.#numberBefore(this.#to);
    const uidAt = this.#at - 5;
    if (uid < 0 || !this.#wordAt(UID, uidAt)) return false;
    const qp = this.#numberBefore(uidAt);
    const to = this.#at - 5;
    if (qp < 0 || to < from || !this.#wordAt(SENDER_QP, to)) return false;
    this.#lines.infoMsg(id, { bytes: size, qp, uid }, from, to);
    return true;
  }

  #starting(): boolean {
    if (!this.#word(STARTING)) return false;
    const delivery = this.#number();
    if (delivery < 0 || !this.#word(MSG)) return false;
    const id = this.#number();
    if (id < 0) return false;
    const local = this.#word(TO_LOCAL);
    if (!local && !this.#word(TO_REMOTE)) return false;
    this.#lines.starting(delivery, id, local, this.#at, this.#to);
    return true;
  }

  #delivery(): boolean {
    if (!this.#word(DELIVERY)) return false;
    const delivery = this.#number();
    if (delivery < 0) return false;
    const outcome = this.#outcome();
    if (outcome !== 0) {
      this.#lines.delivery(delivery, outcome, this.#at, this.#to);
      return true;
    }
    if (!this.#word(MANGLED)) return false;
    this.#lines.mangled(delivery);
    return true;
  }

  #outcome(): number {
    if (this.#word(SUCCESS_TEXT)) return SUCCESS;
    if (this.#word(DEFERRAL_TEXT)) return DEFERRAL;
    return this.#word(FAILURE_TEXT) ? FAILURE : 0;
  }

  #status(): boolean {
    if (!this.#word(STATUS)) {
      if (!this.#word(EXITING)) return false;
      this.#lines.exiting();
      return true;
    }
    const local = this.#number();
    this.#at++;
    const localMax = this.#number();
    if (!this.#word(REMOTE)) return false;
    const remote = this.#number();
    this.#at++;
    const remoteMax = this.#number();
    if (local < 0 || localMax < 0 || remote < 0 || remoteMax < 0) return false;
    if (this.#at !== this.#to && !this.#word(EXITASAP)) return false;
    this.#lines.status(local, localMax, remote, remoteMax);
    return true;
  }

  #bounce(): boolean {
    if (!this.#word(BOUNCE)) return false;
    const id = this.#number();
    if (id < 0 || !this.#word(QP)) return false;
    const qp = this.#number();
    if (qp < 0) return false;
    this.#lines.bounceMsg(id, qp);
    return true;
  }

  #end(): boolean {
    if (!this.#word(END)) return false;
    const id = this.#number();
    if (id < 0 || this.#at !== this.#to) return false;
    this.#lines.endMsg(id);
    return true;
  }

  /** Goes past `word`, if it is here. */
  #word(word: Uint8Array): boolean {
    if (!this.#wordAt(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #wordAt(word: Uint8Array, at: number): boolean {
    if (at + word.length > this.#to) return false;
    const bytes = this.#bytes;
    for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) return false;
    return true;
  }

  /** Goes past a number; -1 when there is none. */
  #number(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    let value = 0;
    for (; at < this.#to; at++) {
      const digit = (bytes[at] as number) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    this.#at = at;
    return at === start ? -1 : value;
  }

  /** The number that ends at `end`, with a space before it; -1 when there is none. Stops at its first digit. */
  #numberBefore(end: number): number {
    const bytes = this.#bytes;
    let value = 0;
    let scale = 1;
    let at = end;
    for (; at > 0; at--) {
      const digit = (bytes[at - 1] as number) - 48;
      if (digit < 0 || digit > 9) break;
      value += digit * scale;
      scale *= 10;
    }
    this.#at = at;
    return at === end || bytes[at - 1] !== SPACE ? -1 : value;
  }
}

const UID = code(" uid ");
const SENDER_QP = code("> qp ");
