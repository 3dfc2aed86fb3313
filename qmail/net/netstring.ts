/**
 * Netstrings, `5:hello,`: what QMTP and QMQP are made of (https://cr.yp.to/proto/netstrings.txt).
 *
 * What is read may be larger than memory: a length comes first, its bytes are the caller's, then comes the comma.
 */

import { type ByteSource, exactly, inPieces } from "./byte-reader.ts";

/** Bytes of the longest netstring that is read at all (C qmail's bound). */
export const LENGTH_MAX = 2_000_000_000;
/** Digits of a length: with more it is no message that anybody could send. */
const DIGITS_MAX = 10;

/** Something that is no netstring, `protocol`; or one that is larger than we can take, `resources`. */
export class NetstringError extends Error {
  readonly kind: "protocol" | "resources";
  constructor(kind: "protocol" | "resources", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** `bytes` as a netstring. */
export function formatNetstring(bytes: Buffer | string): Buffer {
  const content = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  return Buffer.concat([Buffer.from(`${content.length}:`), content, Buffer.from(",")]);
}

/** The length at the beginning of a netstring, with its colon. Throws NetstringError when it is over `most`. */
export async function readLength(source: ByteSource, most: number): Promise<number> {
  let length = 0;
  for (let digits = 0; ; digits++) {
    const byte = await source.byte();
    if (byte === COLON) break;
    if (byte < ZERO || byte > NINE) throw new NetstringError("protocol", "no digit in a length");
    if (digits === DIGITS_MAX) throw new NetstringError("protocol", "a length of too many digits");
    length = length * 10 + (byte - ZERO);
  }
  if (length > most) throw new NetstringError("resources", `${length} bytes, more than ${most}`);
  return length;
}

/** The comma that ends a netstring. Throws NetstringError when something else is there. */
export async function readComma(source: ByteSource): Promise<void> {
  if ((await source.byte()) !== COMMA) throw new NetstringError("protocol", "no comma at the end");
}

/** A whole netstring of `most` bytes at most. Throws NetstringError. */
export async function readNetstring(source: ByteSource, most: number): Promise<Buffer> {
  const length = await readLength(source, most);
  const bytes = await exactly(source, length);
  await readComma(source);
  return bytes;
}

/** As `readNetstring`; but null when it is over `most`, and then it is read and thrown away. */
export async function readShortNetstring(source: ByteSource, most: number): Promise<Buffer | null> {
  const length = await readLength(source, LENGTH_MAX);
  let bytes: Buffer | null = null;
  if (length <= most) bytes = await exactly(source, length);
  else for await (const _ of inPieces(source, length));
  await readComma(source);
  return bytes;
}

/** The netstrings that `bytes` consists of, all at once. Throws NetstringError when it does not. */
export function parseNetstrings(bytes: Buffer): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    const start = at;
    for (; bytes[at] !== COLON; at++) {
      const byte = bytes[at] ?? 0;
      if (byte < ZERO || byte > NINE) throw new NetstringError("protocol", "no digit in a length");
      if (at - start === DIGITS_MAX) throw new NetstringError("protocol", "too many digits");
      length = length * 10 + (byte - ZERO);
    }
    const end = at + 1 + length;
    if (bytes[end] !== COMMA) throw new NetstringError("protocol", "no comma at the end");
    all.push(bytes.subarray(at + 1, end));
    at = end + 1;
  }
  return all;
}

/** The inside of a netstring whose length is known: what reads over its end breaks the protocol. */
export class Inside implements ByteSource {
  readonly #source: ByteSource;
  #left: number;

  constructor(source: ByteSource, length: number) {
    this.#source = source;
    this.#left = length;
  }

  /** Bytes that have not been read. */
  get left(): number {
    return this.#left;
  }

  async byte(): Promise<number> {
    return (await this.some(1))[0] as number;
  }

  async some(most: number): Promise<Buffer> {
    if (this.#left === 0) throw new NetstringError("protocol", "a netstring ends inside another");
    const bytes = await this.#source.some(Math.min(most, this.#left));
    this.#left -= bytes.length;
    return bytes;
  }
}

const [ZERO, NINE, COLON, COMMA] = [..."09:,"].map((char) => char.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
];
