/** Putting a message into the queue: what every program that accepts mail calls (C qmail: qmail.c). */

import { QQ } from "../exit.ts";

/** How a message fared: `qp` names it in the log, or the text of the failure. */
export type QueueResult =
  | { readonly ok: true; readonly qp: number }
  | {
      readonly ok: false;
      /** qmail-queue's exit code. */
      readonly code: number;
      readonly permanent: boolean;
      /** For an SMTP reply or a person; ends in an enhanced code like (#4.3.0). */
      readonly text: string;
    };

/** One message on its way in. Nothing is queued before `close` has said ok. */
export interface Qmail {
  /** Adds bytes of the message. Never throws: trouble is said by `close`. */
  put(bytes: Buffer): void;
  /** True when the caller should wait for `drained` before it puts more. */
  readonly full: boolean;
  drained(): Promise<void>;
  /** Queues the message for this envelope. Resolves when it is on disk, or refused. */
  close(sender: string, recipients: readonly string[]): Promise<QueueResult>;
  /** Gives the message up; nothing stays behind. */
  abort(): void;
}

/** Where messages go in: the server beside us, or a program. */
export interface QueueDoor {
  open(): Qmail;
}

/** The failure that qmail-queue's exit code `code` stands for; the texts are C qmail's. */
export function queueFailure(code: number, customText = ""): QueueResult & { ok: false } {
  // A program that rejects with 31 may say why as well; that is for good whatever it says.
  const mayExplain = code === QQ.customText || (code === QQ.rejected && customText[0] === "D");
  const custom = /^([DZ])([^\r\n]+)/.exec(mayExplain ? customText : "");
  if (custom) {
    return { ok: false, code, permanent: custom[1] === "D", text: custom[2] as string };
  }
  const known = FAILURES[code];
  if (known) return { ok: false, code, permanent: known[0] === "D", text: known.slice(1) };
  if (code >= 11 && code <= 40) {
    return { ok: false, code, permanent: true, text: "qq permanent problem (#5.3.0)" };
  }
  return { ok: false, code, permanent: false, text: "qq temporary problem (#4.3.0)" };
}

const FAILURES: Readonly<Record<number, string>> = {
  11: "Denvelope address too long for qq (#5.1.3)",
  115: "Denvelope address too long for qq (#5.1.3)",
  31: "Dmail server permanently rejected message (#5.3.0)",
  51: "Zqq out of memory (#4.3.0)",
  52: "Zqq timeout (#4.3.0)",
  53: "Zqq write error or disk full (#4.3.0)",
  54: "Zqq read error (#4.3.0)",
  55: "Zqq unable to read configuration (#4.3.0)",
  56: "Zqq trouble making network connection (#4.3.0)",
  61: "Zqq trouble in home directory (#4.3.0)",
  62: "Zqq trouble creating files in queue (#4.3.0)",
  63: "Zqq trouble creating files in queue (#4.3.0)",
  64: "Zqq trouble creating files in queue (#4.3.0)",
  65: "Zqq trouble creating files in queue (#4.3.0)",
  66: "Zqq trouble creating files in queue (#4.3.0)",
  71: "Zmail server temporarily rejected message (#4.3.0)",
  72: "Zconnection to mail server timed out (#4.4.1)",
  73: "Zconnection to mail server rejected (#4.4.1)",
  74: "Zcommunication with mail server failed (#4.4.2)",
  81: "Zqq internal bug (#4.3.0)",
  91: "Zqq internal bug (#4.3.0)",
  120: "Zunable to exec qq (#4.3.0)",
};
