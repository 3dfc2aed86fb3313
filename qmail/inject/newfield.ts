/** The stamps of a new message (C qmail: newfield.c). */

import { date822 } from "../date822.ts";

/** `Date: 26 Sep 1995 04:46:53 -0000` with its newline. */
export function dateField(seconds: number): string {
  return `Date: ${date822(seconds)}\n`;
}

/** `Message-ID: <19950926044653.12345.qmail@idhost>` with its newline; unique as one process sends one message. */
export function messageIdField(idhost: string, stamp: { now: number; pid: number }): string {
  const time = new Date(stamp.now * 1000).toISOString().slice(0, 19).replace(/\D/g, "");
  return `Message-ID: <${time}.${stamp.pid}.qmail@${idhost}>\n`;
}
