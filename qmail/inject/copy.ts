/** Passing bytes on at the speed of who takes them. */

import type { Qmail } from "../queue/qmail.ts";

/** Puts `start` and then all of `input` into `qmail`, waiting when it is full. */
export async function copyToQueue(
  qmail: Qmail,
  start: Buffer,
  input: AsyncIterable<Buffer>,
): Promise<void> {
  await putAndWait(qmail, start);
  for await (const chunk of input) await putAndWait(qmail, chunk);
}

/** Puts `bytes` into `qmail`; resolves when it takes more. */
export async function putAndWait(qmail: Qmail, bytes: Buffer): Promise<void> {
  qmail.put(bytes);
  if (qmail.full) await qmail.drained();
}

/** `input` with the byte string `header` before it. */
export async function* withHeader(
  header: string,
  input: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  yield Buffer.from(header, "latin1");
  yield* input;
}
