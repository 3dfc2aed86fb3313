/** Many messages to many domains, from some SMTP sessions at once; smtp-source knows one recipient only. */

import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export interface SourceOptions {
  readonly sessions: number;
  readonly messages: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly sender: string;
  /** Messages a second; as many as the server takes when absent. */
  readonly rate?: number;
  /** Recipient of message number `at`. */
  recipient(at: number): string;
}

/** Sends them all; resolves when the last one is answered with 250, rejects when one is not. */
export async function sendAll(port: number, options: SourceOptions): Promise<void> {
  let next = 0;
  const started = performance.now();
  const take = async () => {
    if (next >= options.messages) return null;
    const at = next++;
    const early = options.rate ? started + (at * 1000) / options.rate - performance.now() : 0;
    if (early > 0) await sleep(early);
    return at;
  };
  const body = message(options.size);
  const sessions = Array.from({ length: options.sessions }, () =>
    session(port, options, { take, body }),
  );
  await Promise.all(sessions);
}

async function session(
  port: number,
  { sender, recipient }: SourceOptions,
  { take, body }: { take: () => Promise<number | null>; body: string },
): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const expect = async (...codes: readonly string[]) => {
    for (const code of codes) {
      let line = "";
      do line = (await lines.next()).value ?? "the end";
      while (/^\d\d\d-/.test(line));
      if (!line.startsWith(code)) throw new Error(`the server says: ${line}`);
    }
  };
  await expect("220");
  socket.write("EHLO source.test\r\n");
  await expect("250");
  for (let at = await take(); at !== null; at = await take()) {
    socket.write(`MAIL FROM:<${sender}>\r\nRCPT TO:<${recipient(at)}>\r\nDATA\r\n`);
    await expect("250", "250", "354");
    socket.write(body);
    await expect("250");
  }
  socket.end("QUIT\r\n");
  await once(socket, "close");
}

function message(size: number): string {
  const header = "From: <sender@bench.test>\r\nSubject: bench\r\n\r\n";
  const line = `${"x".repeat(76)}\r\n`;
  return `${header}${line.repeat(Math.ceil((size - header.length) / line.length))}.\r\n`;
}
