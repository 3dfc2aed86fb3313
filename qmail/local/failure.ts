/** A local delivery that did not work: temporary or for good, with the text of the report. */

export class DeliveryFailure extends Error {
  readonly status: "Z" | "D";

  constructor(status: "Z" | "D", text: string) {
    super(text);
    this.status = status;
  }
}

/** Temporary trouble. `text` is one or more whole lines. */
export function temporary(text: string): DeliveryFailure {
  return new DeliveryFailure("Z", text);
}

/** What the system says of an error, as C's strerror does it: "no such file or directory". */
export function systemText(error: unknown): string {
  // Node's message is "ENOENT: no such file or directory, open 'x'".
  const message = /^[A-Z0-9]+: ([^,]+)/.exec((error as Error).message);
  return message?.[1] ?? (error as Error).message;
}
