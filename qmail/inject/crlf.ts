/** Messages with the network's line endings, as PHP and others write them into sendmail. */

const CR = Buffer.from("\r");
const LF = 10;

/**
 * The message `input` with CR LF turned into LF if its first line ends so; else as it is. A CR in a
 * message that also has bare LFs from the start means itself, as everywhere in qmail.
 */
export async function* withoutCarriageReturns(
  input: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  let convert: boolean | null = null;
  let held = false;
  for await (const chunk of input) {
    if (convert === false) {
      yield chunk;
      continue;
    }
    const bytes: Buffer = held ? Buffer.concat([CR, chunk]) : chunk;
    const newline: number = convert === null ? bytes.indexOf(LF) : -1;
    if (newline >= 0) convert = newline > 0 && bytes[newline - 1] === CR[0];
    // What a CR at the end means shows with the next byte.
    held = convert !== false && bytes.at(-1) === CR[0];
    const known = held ? bytes.subarray(0, -1) : bytes;
    yield convert ? toNewlines(known) : known;
  }
  if (held) yield CR;
}

function toNewlines(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
}
