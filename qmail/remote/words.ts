/** What qmail-remote reports, in qmail's words (qmail-remote(8)); the texts beyond are marked. */

import type { Report } from "../spawn/report.ts";
import type { LookupFailure } from "./mx.ts";
import type { Reply } from "./reply.ts";

/** r: taken. h: refused for good. s: refused for now. */
export interface RecipientOutcome {
  readonly status: "r" | "h" | "s";
  readonly text: string;
}

/** What one run of qmail-remote came to: a report for each recipient that was named, and one for the message. */
export interface Outcome {
  readonly recipients: readonly RecipientOutcome[];
  readonly report: Report;
  /** The connection died before the server had answered anything of this message. */
  readonly untouched?: true;
}

/** A report about the message without any about recipients. */
export function outcome(report: Report, recipients: readonly RecipientOutcome[] = []): Outcome {
  return { recipients, report };
}

export const NO_CONNECTION: Report = {
  status: "Z",
  text: "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n",
};

export const NO_QMTP_CONNECTION: Report = {
  status: "Z",
  text: "Sorry, I wasn't able to establish a QMTP connection. (#4.4.1)\n",
};

/** Ours: nobody could be reached a moment ago, and `report` said so. */
export function stillDown({ text }: Report): Report {
  return {
    status: "Z",
    text: `${text}That was a moment ago; it was not tried again for this message.\n`,
  };
}

export const AMBIGUOUS_MX: Report = {
  status: "D",
  text:
    "Sorry. Although I'm listed as a best-preference MX or A for that host,\n" +
    "it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n",
};

/** Ours: we are the best exchanger that could be found, but not all could be. */
export const BETTER_MX_UNKNOWN: Report = {
  status: "Z",
  text:
    "Sorry, I couldn't find the mail exchangers that are better than me for that host,\n" +
    "and there may be some. (#4.4.4)\n",
};

/** Ours: a route leads to a host that there is not. */
export function relayUnknown(host: string): Report {
  const text = `Sorry, I couldn't find any host named ${safe(host)}, to which I am to send this. (#4.3.5)\n`;
  return { status: "Z", text };
}

/** Ours: the address that we are to connect from is of no use. */
export function cannotBind(bind: string, why: string): Report {
  return { status: "Z", text: `Sorry, I am to connect from ${bind}: ${why}. (#4.3.5)\n` };
}

export const BAD_CONTROL: Report = {
  status: "Z",
  text: "Unable to read control files. (#4.3.0)\n",
};

/** Ours: an address that cannot be said in a line of SMTP. */
export const UNSPEAKABLE: Report = {
  status: "D",
  text: "Sorry, an address of this message cannot be sent by SMTP. (#5.1.3)\n",
};

export const CANNOT_READ: Report = {
  status: "Z",
  text: "Unable to read message. (#4.3.0)\n",
};

export function lookupFailed(why: LookupFailure, host: string): Report {
  switch (why) {
    case "soft":
      return { status: "Z", text: "Sorry, I couldn't find any host by that name. (#4.1.2)\n" };
    case "hard":
      return {
        status: "D",
        text: `Sorry, I couldn't find any host named ${safe(host)}. (#5.1.2)\n`,
      };
    case "nomx":
      return {
        status: "D",
        text: "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n",
      };
    case "null":
      // Ours: RFC 7505 is younger than qmail.
      return {
        status: "D",
        text: `Sorry, ${safe(host)} takes no mail: its MX says so. (#5.1.10)\n`,
      };
  }
}

/** We are told to leave before the message was said to its end. */
export const LEAVING: Report = {
  status: "Z",
  text: "I was told to leave before the message was sent; it will be tried again. (#4.3.2)\n",
};

/**
 * The connection died; `critical`: after the whole message was sent, so it may have arrived. Ours: `lastWords`, what the
 * server said of it.
 */
export function dropped(
  ip: string,
  critical: boolean,
  lastWords: Pick<Reply, "text"> | null = null,
): Report {
  const { status, text } = lost(`Connected to ${ip} but connection died.`, critical, "4.4.2");
  return { status, text: lastWords ? text + remoteHostSaid(lastWords) : text };
}

/** Ours: there was an answer too many, so that nobody knows what each of them answers. */
export function surprised(ip: string, critical: boolean): Report {
  return lost(`Connected to ${ip} but it said more than it was asked.`, critical, "4.5.0");
}

function lost(what: string, critical: boolean, code: string): Report {
  return { status: "Z", text: `${what} ${critical ? "Possible duplicate! " : ""}(#${code})\n` };
}

/** `before` and `after` stand round the address: "Connected to ", " but greeting failed". */
export function said(
  status: Report["status"],
  [before, ip, after]: readonly [string, string, string],
  reply: Pick<Reply, "text"> | null,
): Report {
  return { status, text: `${before}${ip}${after}.\n${reply ? remoteHostSaid(reply) : ""}` };
}

export function recipientRefused(
  ip: string,
  status: "h" | "s",
  reply: Pick<Reply, "text">,
): RecipientOutcome {
  return { status, text: `${ip} does not like recipient.\n${remoteHostSaid(reply)}` };
}

/** Ours from here on: what the other side lacks. */
export function lacks(ip: string, what: string, code: string): Report {
  return { status: "D", text: `${ip} ${what}. (#${code})\n` };
}

/** The next host has no SMTPUTF8, and an address needs it. */
export function noUtf8(ip: string): Report {
  return lacks(ip, "takes no addresses that are not ASCII (no SMTPUTF8)", "5.6.7");
}

/** TLS is wanted and not to be had, or not with whom we wanted. Temporary: certificates get mended. */
export function noTls(ip: string, why: string): Report {
  return { status: "Z", text: `Connected to ${ip} but TLS failed: ${safeLine(why)}. (#4.7.5)\n` };
}

export function authFailed(ip: string, why: string, reply: Reply | null): Report {
  const text = `Connected to ${ip} but authentication failed: ${why}. (#4.7.8)\n`;
  return { status: "Z", text: reply ? text + remoteHostSaid(reply) : text };
}

/** Ours: an answer that is one to something else. For good: it will not be another one tomorrow. */
export function outOfPlace(ip: string, after: string, reply: Reply): Report {
  return { status: "D", text: `${ip}${after}. (#5.5.0)\n${remoteHostSaid(reply)}` };
}

function remoteHostSaid({ text }: Pick<Reply, "text">): string {
  return text === "" ? "" : `Remote host said: ${text.replaceAll("\0", "?")}`;
}

function safe(text: string): string {
  return text.replace(/[^!-~]/g, "?");
}

function safeLine(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
