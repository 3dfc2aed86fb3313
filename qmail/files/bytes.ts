/** Byte strings where the system wants bytes: Node would write a latin1 string as UTF-8. */

/** The path that the byte string `path` means. */
export function fsPath(path: string): string | Buffer {
  // Most are ASCII, and Node takes a string faster.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII character is meant.
  return /^[\x01-\x7f]*$/.test(path) ? path : Buffer.from(path, "latin1");
}

/** The byte string `bytes` as Node's text; null when no text has these bytes as its UTF-8. */
export function utf8Text(bytes: string): string | null {
  const buffer = Buffer.from(bytes, "latin1");
  const text = buffer.toString();
  return Buffer.from(text).equals(buffer) ? text : null;
}
