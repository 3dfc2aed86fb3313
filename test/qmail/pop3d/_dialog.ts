/**
 * Reads and plays the conversations of test/dialogs/*.pop3. A line of such a file is one of:
 *
 *   # remark                       new NAME TEXT, cur NAME TEXT: a message, with \n, of the age of its number
 *   -> command, CR LF follows      => bytes, with \r \n \0     => *N bytes, N times
 *   <- beginning of a reply; as the whole of a line of a listing or a message when nothing follows
 *   apop LOGIN SECRET              closed: the other side hangs up
 *   end-of-input: the client sends no more, but listens        left PATH...: what is in the Maildir
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";

export interface Dialog {
  readonly messages: readonly { readonly path: string; readonly text: string }[];
  readonly steps: readonly {
    readonly line: number;
    readonly verb: string;
    readonly text: string;
  }[];
}

/** The dialog in `text`. Throws on a line that is none. */
export function parseDialog(text: string): Dialog {
  const messages: { path: string; text: string }[] = [];
  const steps: { line: number; verb: string; text: string }[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [, sub, name, body = ""] = /^(new|cur) (\S+) (.*)$/.exec(line) ?? [];
    const [, verb, rest = ""] =
      /^(->|=>|<-|apop|closed|end-of-input|left)(?: (.*))?$/.exec(line) ?? [];
    if (sub) messages.push({ path: `${sub}/${name}`, text: bytesOf(body).toString("latin1") });
    else if (verb) steps.push({ line: index + 1, verb, text: rest });
    else if (line !== "" && !line.startsWith("#")) throw new Error(`no dialog line: "${line}"`);
  }
  return { messages, steps };
}

function bytesOf(text: string): Buffer {
  const [, count = "1", bytes = ""] = /^(?:\*(\d+) )?(.*)$/.exec(text) ?? [];
  const escapes: Readonly<Record<string, string>> = { r: "\r", n: "\n", 0: "\0" };
  const plain = bytes.replace(/\\([rn0])/g, (_, letter: string) => escapes[letter] ?? letter);
  return Buffer.from(plain.repeat(Number(count)), "latin1");
}

/** A client that reads lines. */
export class Client {
  readonly #socket: Socket;
  #text = "";
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.#text += chunk.toString("latin1");
      socket.emit("more");
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#ended = true;
        socket.emit("more");
      });
    }
  }

  send(bytes: string | Buffer): void {
    this.#socket.write(bytes, "latin1");
  }

  endInput(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The next line without CR LF; null when the other side has hung up. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\r\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return line;
      }
      if (this.#ended) return null;
      await once(this.#socket, "more");
    }
  }
}

/** Plays `dialog`; every line of the other side must be expected. `left` says what is in the Maildir. */
export async function play(dialog: Dialog, client: Client, left: () => string[]): Promise<void> {
  let timestamp = "";
  for (const { line, verb, text } of dialog.steps) {
    try {
      if (verb === "->") client.send(`${text}\r\n`);
      else if (verb === "=>") client.send(bytesOf(text));
      else if (verb === "end-of-input") client.endInput();
      else if (verb === "closed") assert.equal(await client.line(), null);
      else if (verb === "left") assert.deepEqual(left(), text.split(" ").filter(Boolean).sort());
      else if (verb === "apop") {
        const [login, secret] = text.split(" ");
        const digest = createHash("md5").update(`${timestamp}${secret}`).digest("hex");
        client.send(`APOP ${login} ${digest}\r\n`);
      } else {
        const reply = await client.line();
        timestamp ||= /<.*>/.exec(reply ?? "")?.[0] ?? "";
        const whole = text === "" || !/^[+-]/.test(text);
        assert.equal(whole ? reply : (reply?.slice(0, text.length) ?? null), text);
      }
    } catch (error) {
      throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
    }
  }
}
