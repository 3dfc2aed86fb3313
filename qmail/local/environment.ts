/** The lines and variables of one local delivery (qmail-command(8)). Pure. */

import { quoteAddress } from "../quote.ts";

/** To whom, from whom, on whose behalf: qmail-local's arguments. */
export interface LocalRequest {
  readonly user: string;
  readonly home: string;
  readonly local: string;
  readonly dash: string;
  readonly ext: string;
  readonly host: string;
  readonly sender: string;
  /** The default delivery: instructions for who has no .qmail file, or an empty one. */
  readonly aliasempty: string;
}

/** The lines that a delivery puts before a message; each ends in a newline. */
export interface Lines {
  /** `Return-Path: <...>` */
  readonly rpline: string;
  /** `Delivered-To: ...` */
  readonly dtline: string;
  /** `From ... date`, for mboxes. */
  readonly ufline: string;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The lines for `request` delivered at `seconds` since 1970. */
export function deliveryLines(request: LocalRequest, seconds: number): Lines {
  const recipient = `${request.local}@${request.host}`;
  return {
    rpline: `Return-Path: <${quoteAddress(request.sender).replaceAll("\n", "_")}>\n`,
    dtline: `Delivered-To: ${recipient.replaceAll("\n", "_")}\n`,
    ufline: fromLine(request.sender, seconds),
  };
}

/** The From_ line of an mbox (mbox(5)) for a message from `sender` that came at `seconds` since 1970. */
export function fromLine(sender: string, seconds: number): string {
  const from = sender === "" ? "MAILER-DAEMON" : sender.replace(/[ \t\n]/g, "-");
  return `From ${from} ${ctime(seconds)}\n`;
}

/** As ctime(3), but in UTC: mbox readers expect just this form. */
function ctime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${two(date.getUTCDate())}`;
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  return `${day} ${time} ${date.getUTCFullYear()}`;
}

/** The variables that a program delivery finds, besides those of the worker. */
export function deliveryEnvironment(
  request: LocalRequest,
  lines: Lines,
  found: { readonly default: string | null; readonly newSender: string },
): Record<string, string> {
  const { ext, host } = request;
  const host2 = cutLast(host);
  const host3 = cutLast(host2);
  const ext2 = cutFirst(ext);
  const ext3 = cutFirst(ext2);
  return {
    USER: request.user,
    HOME: request.home,
    LOCAL: request.local,
    HOST: host,
    HOST2: host2,
    HOST3: host3,
    HOST4: cutLast(host3),
    EXT: ext,
    EXT2: ext2,
    EXT3: ext3,
    EXT4: cutFirst(ext3),
    RECIPIENT: `${request.local}@${host}`,
    SENDER: request.sender,
    NEWSENDER: found.newSender,
    RPLINE: lines.rpline,
    DTLINE: lines.dtline,
    UFLINE: lines.ufline,
    ...(found.default === null ? {} : { DEFAULT: found.default }),
  };
}

/** What follows the first dash; "" when there is none. */
function cutFirst(ext: string): string {
  const dash = ext.indexOf("-");
  return dash < 0 ? "" : ext.slice(dash + 1);
}

/** What precedes the last dot; the whole when there is none. */
function cutLast(host: string): string {
  const dot = host.lastIndexOf(".");
  return dot < 0 ? host : host.slice(0, dot);
}
