/** Messages with the network's line endings, in part or as a whole, as PHP and others write them into sendmail. */

const CR = Buffer.from("\r");

/**
 * The message `input` with every CR LF turned into LF: the header that PHP adds to has both, and no transport could tell the
 * recipient which of them a line had. A CR elsewhere means itself.
 */
export async function* withoutCarriageReturns(
  input: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  let held = false;
  for await (const chunk of input) {
    const bytes: Buffer = held ? Buffer.concat([CR, chunk]) : chunk;
    // What a CR at the end means shows with the next byte.
    held = bytes.at(-1) === CR[0];
    yield toNewlines(held ? bytes.subarray(0, -1) : bytes);
  }
  if (held) yield CR;
}

function toNewlines(bytes: Buffer): Buffer {
  if (!bytes.includes("\r\n")) return bytes;
  return Buffer.from(bytes.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
}
