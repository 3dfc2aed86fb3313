/** A queued message as a delivery sees it: its size and its bytes in order, any number of times. */

export interface Message {
  /** Length in bytes. */
  readonly size: number;
  /** The bytes from the beginning, in chunks of at most MAX_FRAME; each call starts anew. */
  chunks(): AsyncIterable<Buffer>;
}

/** A message that lies in memory. */
export function bufferMessage(bytes: Buffer): Message {
  return {
    size: bytes.length,
    async *chunks() {
      if (bytes.length > 0) yield bytes;
    },
  };
}
