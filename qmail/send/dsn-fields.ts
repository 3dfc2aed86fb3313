/**
 * What a paragraph of queue/bounce says of a recipient, in the fields of a delivery status notification (RFC 3464
 * section 2.3). Pure. Everything is read out of qmail's words, so the queue needs to know of no second form.
 */

/** `<recipient>:` and the report. */
export interface Failure {
  readonly recipient: string;
  readonly report: string;
}

/** A line of a field must not be longer (RFC 5322 section 2.1.1). */
const LINE_MAX = 900;
/** Lines of a reply that are quoted. */
const REPLY_LINES_MAX = 50;

/** A paragraph of the bounce file; null for what is none. */
export function parseParagraph(paragraph: string): Failure | null {
  // The report before may have ended in an empty line.
  const match = /^\n*<([^\n]*)>:\n([\s\S]*)$/.exec(paragraph);
  return match ? { recipient: match[1] ?? "", report: match[2] ?? "" } : null;
}

/** The group of fields about one recipient, with a newline behind each. */
export function recipientFields({ recipient, report }: Failure): string {
  const reply = remoteReply(report);
  const mta = remoteMta(report);
  const fields = [
    `Final-Recipient: ${finalRecipient(recipient)}`,
    "Action: failed",
    `Status: ${statusCode(report)}`,
    ...(mta === null ? [] : [`Remote-MTA: dns; ${mta}`]),
    `Diagnostic-Code: ${reply ? `smtp; ${folded(reply)}` : `X-Qmail; ${folded(lines(report))}`}`,
  ];
  return fields.map((field) => `${field}\n`).join("");
}

/** An address with its type: in UTF-8 as RFC 6533 section 3 writes it in ASCII. */
function finalRecipient(address: string): string {
  if (!/[\x80-\xff]/.test(address)) return `rfc822; ${printable(address)}`;
  const characters = [...Buffer.from(address, "latin1").toString()];
  const escaped = characters.map((character) => {
    if (/[!-*,-<>-[\]-~]/.test(character)) return character;
    return `\\x{${character.codePointAt(0)?.toString(16).toUpperCase()}}`;
  });
  return `utf-8; ${escaped.join("")}`;
}

/**
 * The enhanced status code (RFC 3463): the remote host's, else one in parentheses, as qmail writes it (#5.1.1),
 * else what the first digit of the reply says.
 */
export function statusCode(report: string): string {
  const [reply = ""] = remoteReply(report) ?? [];
  const said = /^[245]\d\d[- ]([245]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec(reply)?.[1];
  const ours = /\(#([245]\.\d{1,3}\.\d{1,3})\)/.exec(report)?.[1];
  const known = said ?? ours;
  if (known !== undefined && !known.startsWith("2")) return known;
  return reply.startsWith("4") ? "4.0.0" : "5.0.0";
}

/** The lines of the reply that decided; null when no host has said anything that is a reply. */
function remoteReply(report: string): string[] | null {
  const at = report.indexOf("Remote host said: ");
  if (at < 0) return null;
  const reply: string[] = [];
  for (const line of lines(report.slice(at + "Remote host said: ".length))) {
    if (!/^[245]\d\d(?:[- ]|$)/.test(line)) break;
    reply.push(line);
    if (line[3] !== "-") break;
  }
  return reply.length > 0 ? reply : null;
}

/** The address of the host that the report is about, as a literal; null when it is about none. */
function remoteMta(report: string): string | null {
  const address =
    /^(?:Connected to |Giving up on )?([\d.]{1,46}|[\da-f.:]{0,46}:[\da-f.:]{0,46})[. ]/i.exec(
      report,
    )?.[1];
  if (address === undefined) return null;
  const plain = address.replace(/\.$/, "");
  return plain.includes(":") ? `[IPv6:${plain}]` : `[${plain}]`;
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** The lines of one field. */
function folded(texts: readonly string[]): string {
  const shown = texts.slice(0, REPLY_LINES_MAX).map((text) => printable(text).slice(0, LINE_MAX));
  return shown.join("\n ");
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
