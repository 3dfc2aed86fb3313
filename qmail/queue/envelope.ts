/**
 * Envelopes as bytes: what qmail-queue reads from descriptor 1 and what it writes into todo
 * (qmail-queue(8), envelopes(5)). Addresses are byte strings without NUL.
 */

/** qmail-queue refuses an address of so many bytes or more (exit 11). */
export const ADDRESS_MAX = 1003;
/** So many recipients of one message: all that handle it have them in memory at once (exit 51). */
export const RECIPIENTS_MAX = 1_000_000;
/** No address has one (RFC 5321 section 4.1.2): on its way it would end a line, and what follows would be a command (exit 31). */
const CONTROL = /[^ -~\x80-\xff]/;

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
  /** "format" for what is not an envelope, "end" for one cut short; of an address: "address" for too long, "control" for a byte; "many" for recipients. */
  readonly reason: "format" | "address" | "control" | "end" | "many";
  constructor(reason: EnvelopeError["reason"], message: string) {
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

/** The reverse of `formatEnvelope`. Throws EnvelopeError. What follows the end does not count (C qmail: it is not read). */
export function parseEnvelope(bytes: Buffer): Envelope {
  const envelope = parseAnyEnvelope(bytes);
  for (const each of [envelope.sender, ...envelope.recipients]) {
    if (isAddress(each)) continue;
    throw new EnvelopeError("control", "an address has a control character");
  }
  return envelope;
}

/** As `parseEnvelope`, for a bounce: its recipient is the sender of a message that C qmail may have queued. */
export function parseAnyEnvelope(bytes: Buffer): Envelope {
  const text = bytes.toString("latin1");
  const sender = address(text, 0, "F");
  const recipients: string[] = [];
  let at = sender.length + 2;
  while (text[at] !== "\0") {
    const recipient = address(text, at, "T");
    if (recipients.length === RECIPIENTS_MAX) {
      throw new EnvelopeError("many", `more than ${RECIPIENTS_MAX} recipients`);
    }
    recipients.push(recipient);
    at += recipient.length + 2;
  }
  return { sender, recipients };
}

/** False when there is a NUL or another control character in it, quoted or not. */
export function isAddress(text: string): boolean {
  return !CONTROL.test(text);
}

/** True when the envelope that `bytes` go on with ends in them; `last` is the byte before them. */
export function endsEnvelope(last: number | undefined, bytes: Buffer): boolean {
  return (last === 0 && bytes[0] === 0) || bytes.includes("\0\0");
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
  if (sender === null) throw new EnvelopeError("end", "no sender");
  return { uid, pid, sender, recipients };
}

/** NUL-terminated records; the last byte must be the NUL of the last one. */
function splitRecords(bytes: Buffer): string[] {
  const records = bytes.toString("latin1").split("\0");
  if (records.pop() !== "") throw new EnvelopeError("end", "record without its NUL");
  return records;
}

/** The address of the record at `at`, which must begin with `letter`. Errors come in the order of the bytes. */
function address(text: string, at: number, letter: "F" | "T"): string {
  if (at >= text.length) throw new EnvelopeError("end", "envelope is cut short");
  if (text[at] !== letter) {
    throw new EnvelopeError("format", `envelope has a record that does not begin with ${letter}`);
  }
  const end = text.indexOf("\0", at);
  const length = (end < 0 ? text.length : end) - at - 1;
  if (length >= ADDRESS_MAX) throw new EnvelopeError("address", "address too long");
  if (end < 0) throw new EnvelopeError("end", "envelope is cut short");
  return text.slice(at + 1, end);
}
