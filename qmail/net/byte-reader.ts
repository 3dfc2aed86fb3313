/** Reading a stream as a protocol wants it: a byte, some bytes, or exactly so many; never more than asked for. */

/** The other side sent no more where more had to come. */
export class EndOfInput extends Error {}

/** What a protocol is read from. */
export interface ByteSource {
  /** The next byte. Throws EndOfInput. */
  byte(): Promise<number>;
  /** What is there of the next `most` bytes, one at least. Throws EndOfInput. */
  some(most: number): Promise<Buffer>;
}

const NOTHING = Buffer.alloc(0);

/** Reads from the chunks of a stream; a stream that fails has ended. */
export class ByteReader implements ByteSource {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = NOTHING;

  constructor(input: AsyncIterable<Buffer>) {
    this.#chunks = input[Symbol.asyncIterator]();
  }

  /** True when nothing more comes. Waits until that is known. */
  async ended(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#next();
      if (next === null) return true;
      this.#chunk = next;
    }
    return false;
  }

  /** True when something has come that is not read yet. */
  get pending(): boolean {
    return this.#chunk.length > 0;
  }

  async byte(): Promise<number> {
    return (await this.some(1))[0] as number;
  }

  async some(most: number): Promise<Buffer> {
    if (await this.ended()) throw new EndOfInput("the other side has hung up");
    const bytes = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(bytes.length);
    return bytes;
  }

  async #next(): Promise<Buffer | null> {
    try {
      const { done, value } = await this.#chunks.next();
      return done ? null : value;
    } catch {
      return null;
    }
  }
}

/** Exactly `count` bytes. Throws EndOfInput. */
export async function exactly(source: ByteSource, count: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of inPieces(source, count)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The next `count` bytes as they come. */
export async function* inPieces(source: ByteSource, count: number): AsyncGenerator<Buffer> {
  for (let left = count; left > 0; ) {
    const piece = await source.some(left);
    left -= piece.length;
    yield piece;
  }
}
