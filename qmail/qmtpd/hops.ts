/**
 * Hops of a message whose lines end in LF: header lines that begin with Received or Delivered, as qmail-smtpd counts
 * them. C's qmail-qmtpd and qmail-qmqpd count none, and a loop of QMTP routes or of hubs has no end there.
 */

import { HOP_NAMES } from "../smtpd/blast.ts";

const LF = 10;
/** So many bytes of a line tell whether it is a hop. */
const DECISIVE = Math.max(...HOP_NAMES.map((name) => name.length));

export class HopCounter {
  /** The beginning of the line; null behind the header. */
  #start: string | null = "";
  /** Hops so far. */
  count = 0;

  /** Takes the next bytes of the message. */
  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.#start !== null; ) {
      const lf = bytes.indexOf(LF, at);
      const end = lf < 0 ? bytes.length : lf;
      const wanted = DECISIVE - this.#start.length;
      this.#start += bytes.toString("latin1", at, Math.min(end, at + wanted));
      if (lf < 0) return;
      this.#start = this.#endLine(this.#start);
      at = lf + 1;
    }
  }

  #endLine(start: string): string | null {
    if (start === "") return null;
    const line = start.toLowerCase();
    if (HOP_NAMES.some((name) => line.startsWith(name))) this.count++;
    return "";
  }
}
