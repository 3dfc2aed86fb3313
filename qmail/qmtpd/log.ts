/** The lines that the QMTP and QMQP services log: in the form of the SMTP service's. */

/** Values are printable and without spaces, so `key=value` words can be split anywhere. */
function line(
  id: string,
  event: string,
  fields: Readonly<Record<string, string | number>>,
): string {
  const words = Object.entries(fields).map(
    ([key, value]) => `${key}=${String(value).replace(/[^!-~]/g, "_")}`,
  );
  return `${id}: ${[event, ...words].join(" ")}\n`;
}

export interface Handled {
  readonly ip: string;
  readonly from: string;
  readonly bytes: number;
}

/** A message was queued. `id` names protocol and session. */
export function accepted(id: string, what: Handled & { rcpts: number; qp: number }): string {
  const { ip, from, bytes, rcpts, qp } = what;
  return line(id, "accepted", { qp, ip, from: `<${from}>`, rcpts, bytes });
}

/** A message, or one of its recipients, was refused; `reply` is what the client was told. */
export function refused(id: string, { ip, from, reply }: Handled & { reply: string }): string {
  return line(id, "refused", { ip, from: `<${from}>`, reply });
}

/** A session ended in the middle of a message. */
export function broken(id: string, ip: string, why: string): string {
  return line(id, "broken", { ip, why });
}

/** Something that the administrator should know. */
export function warning(text: string): string {
  return `warning: ${text}\n`;
}
