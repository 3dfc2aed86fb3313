/** What may be done with messages of mail programs on their way in, where those of other servers pass untouched. */

/** The header of one message on its way through. */
export interface HeaderRewriter {
  /** Why the message cannot be taken; null: nothing speaks against it yet. */
  readonly refusal: string | null;
  /** Decoded bytes of the message; what goes into the queue for them. */
  push(data: Buffer): Buffer;
  /** The message is complete. */
  end(): Buffer;
}

/** For one session; the message of `header` is the one of the last `sender`. */
export interface Rewriting {
  /** What becomes of the address in MAIL; null: it is none. */
  sender(address: string): string | null;
  /** What becomes of the address in RCPT; null: it is none. */
  recipient(address: string): string | null;
  header(): HeaderRewriter;
}
