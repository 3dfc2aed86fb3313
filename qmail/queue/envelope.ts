/**
 * Envelopes as bytes: what qmail-queue reads from descriptor 1 and what it writes into todo
 * (qmail-queue(8), envelopes(5)). Addresses are byte strings without NUL.
 */

/** qmail-queue refuses longer addresses (exit 11). */
export const ADDRESS_MAX = 1003;

export interface Envelope {
  readonly sender: string;
  readonly recipients: readonly string[];
}

/** A todo file: the envelope with who queued it. */
export interface Todo extends Envelope {
  readonly uid: number;
  /** The process or running number that queued it; "qp" of the log. */
  readonly pid: number;
}

export class EnvelopeError extends Error {
  /** "format" for anything that is not an envelope, "address" for an address that is too long. */
  readonly reason: "format" | "address";
  constructor(reason: "format" | "address", message: string) {
    super(message);
    this.reason = reason;
  }
}

/** `F sender NUL (T recipient NUL)... NUL`, as qmail-queue reads it. */
export function formatEnvelope(envelope: Envelope): Buffer {
  let text = `F${envelope.sender}\0`;
  for (const recipient of envelope.recipients) text += `T${recipient}\0`;
  return Buffer.from(`${text}\0`, "latin1");
}

/** The reverse of `formatEnvelope`. Throws EnvelopeError. */
export function parseEnvelope(bytes: Buffer): Envelope {
  const records = splitRecords(bytes);
  if (records.pop() !== "") throw new EnvelopeError("format", "envelope does not end in NUL NUL");
  const [from, ...to] = records;
  if (from?.[0] !== "F") throw new EnvelopeError("format", "envelope does not begin with F");
  const recipients = to.map((record) => {
    if (record[0] !== "T") throw new EnvelopeError("format", "envelope has a record that is not T");
    return address(record);
  });
  return { sender: address(from), recipients };
}

/** `u uid NUL p pid NUL F sender NUL (T recipient NUL)...`, as todo files are. */
export function formatTodo(todo: Todo): Buffer {
  let text = `u${todo.uid}\0p${todo.pid}\0F${todo.sender}\0`;
  for (const recipient of todo.recipients) text += `T${recipient}\0`;
  return Buffer.from(text, "latin1");
}

/** The reverse of `formatTodo`. Throws EnvelopeError. */
export function parseTodo(bytes: Buffer): Todo {
  let uid = 0;
  let pid = 0;
  let sender: string | null = null;
  const recipients: string[] = [];
  for (const record of splitRecords(bytes)) {
    const rest = record.slice(1);
    switch (record[0]) {
      case "u":
        uid = Number.parseInt(rest, 10) || 0;
        break;
      case "p":
        pid = Number.parseInt(rest, 10) || 0;
        break;
      case "F":
        sender = rest;
        break;
      case "T":
        recipients.push(rest);
        break;
      default:
        throw new EnvelopeError("format", "unknown record type");
    }
  }
  if (sender === null) throw new EnvelopeError("format", "no sender");
  return { uid, pid, sender, recipients };
}

/** NUL-terminated records; the last byte must be the NUL of the last one. */
function splitRecords(bytes: Buffer): string[] {
  const records = bytes.toString("latin1").split("\0");
  if (records.pop() !== "") throw new EnvelopeError("format", "record without its NUL");
  return records;
}

function address(record: string): string {
  if (record.length > ADDRESS_MAX) throw new EnvelopeError("address", "address too long");
  return record.slice(1);
}
