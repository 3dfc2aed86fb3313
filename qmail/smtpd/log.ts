/** The lines of the SMTP service's log: one function each, and the parser that reads them back. */

/** Values are printable and without spaces, so `key=value` words can be split anywhere. */
function safe(text: string): string {
  return text.replace(/[^!-~]/g, "_");
}

function line(
  session: number,
  event: string,
  fields: Readonly<Record<string, string | number>>,
): string {
  const words = Object.entries(fields).map(([key, value]) => `${key}=${safe(String(value))}`);
  return `smtpd ${session}: ${[event, ...words].join(" ")}\n`;
}

/** A message was queued. */
export function accepted(
  session: number,
  message: { ip: string; helo: string; from: string; rcpts: number; bytes: number; qp: number },
): string {
  const { ip, helo, from, rcpts, bytes, qp } = message;
  return line(session, "accepted", { qp, ip, helo, from: `<${from}>`, rcpts, bytes });
}

/** A sender, recipient or message was refused; `reply` is what the client was told. */
export function refused(
  session: number,
  what: { ip: string; from: string; rcpt?: string; reply: string },
): string {
  const { ip, from, rcpt, reply } = what;
  return line(session, "refused", {
    ip,
    from: `<${from}>`,
    ...(rcpt === undefined ? {} : { rcpt: `<${rcpt}>` }),
    reply: reply.trim().replaceAll(" ", "_"),
  });
}

/** A session ended otherwise than by QUIT. */
export function broken(session: number, ip: string, why: string): string {
  return line(session, "broken", { ip, why });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `warning: ${text}\n`;
}

export interface SmtpdLogLine {
  readonly session: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** One line without its newline; null for a line that is none of ours. */
export function parseSmtpdLine(text: string): SmtpdLogLine | null {
  const match = /^smtpd (\d+): (\w+) ?(.*)$/.exec(text);
  if (!match) return null;
  const [, session, event = "", words = ""] = match;
  const fields = words
    .split(" ")
    .filter(Boolean)
    .map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]);
  return { session: Number(session), event, fields: Object.fromEntries(fields) };
}
