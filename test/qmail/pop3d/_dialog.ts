/**
 * Reads and plays the conversations of test/dialogs/*.pop3. A line of such a file is one of:
 *
 *   # remark                       new NAME TEXT, cur NAME TEXT: a message, with \n, of the age of its number
 *   -> command, CR LF follows      => bytes, with \r \n \0     => *N bytes, N times      <- *N N replies
 *   <- beginning of a reply; as the whole of a line of a listing or a message when nothing follows
 *   apop LOGIN SECRET              closed: the other side hangs up
 *   certificate: with TLS, where passwords need it; only the service has that          tls: the handshake
 *   service-only: not for the programs       gone PATH..., in-the-way PATH...: of the Maildir, missing or a directory from now on
 *   end-of-input: the client sends no more, but listens        left PATH...: what is in the Maildir
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface Dialog {
  readonly messages: readonly { readonly path: string; readonly text: string }[];
  /** Doors that it is for. */
  readonly doors: readonly ("programs" | "service" | "service-with-tls")[];
  readonly steps: readonly {
    readonly line: number;
    readonly verb: string;
    readonly text: string;
  }[];
}

/** The dialog in `text`. Throws on a line that is none. */
export function parseDialog(text: string): Dialog {
  const messages: { path: string; text: string }[] = [];
  let doors: Dialog["doors"] = ["programs", "service"];
  const steps: { line: number; verb: string; text: string }[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [, sub, name, body = ""] = /^(new|cur) (\S+) (.*)$/.exec(line) ?? [];
    const [, verb, rest = ""] =
      /^(->|=>|<-|apop|closed|tls|end-of-input|gone|in-the-way|left)(?: (.*))?$/.exec(line) ?? [];
    if (sub) messages.push({ path: `${sub}/${name}`, text: bytesOf(body).toString("latin1") });
    else if (line === "certificate") doors = ["service-with-tls"];
    else if (line === "service-only") doors = ["service"];
    else if (verb) steps.push({ line: index + 1, verb, text: rest });
    else if (line !== "" && !line.startsWith("#")) throw new Error(`no dialog line: "${line}"`);
  }
  return { messages, doors, steps };
}

function bytesOf(text: string): Buffer {
  const [, count = "1", bytes = ""] = /^(?:\*(\d+) )?(.*)$/.exec(text) ?? [];
  const escapes: Readonly<Record<string, string>> = { r: "\r", n: "\n", 0: "\0" };
  const plain = bytes.replace(/\\([rn0])/g, (_, letter: string) => escapes[letter] ?? letter);
  return Buffer.from(plain.repeat(Number(count)), "latin1");
}

/** A client that reads lines. */
export class Client {
  #socket: Socket;
  #text = "";
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#follow(socket);
  }

  /** All that follows is in TLS. */
  async secure(): Promise<void> {
    const socket = this.#socket;
    for (const event of ["data", "end", "close"]) socket.removeAllListeners(event);
    const secure = connectTls({ socket, rejectUnauthorized: false });
    await once(secure, "secureConnect");
    this.#socket = secure;
    this.#follow(secure);
  }

  #follow(socket: Socket): void {
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

/** What a dialog does to the Maildir, behind the session's back. */
export interface MaildirInDialog {
  left(): string[];
  gone(path: string): void;
  inTheWay(path: string): void;
}

/** Plays `dialog`; every line of the other side must be expected. */
export async function play(
  dialog: Dialog,
  client: Client,
  maildir: MaildirInDialog,
): Promise<void> {
  let timestamp = "";
  for (const { line, verb, text } of dialog.steps) {
    try {
      if (verb === "->") client.send(`${text}\r\n`);
      else if (verb === "=>") client.send(bytesOf(text));
      else if (verb === "tls") await client.secure();
      else if (verb === "gone") for (const path of text.split(" ")) maildir.gone(path);
      else if (verb === "in-the-way") for (const path of text.split(" ")) maildir.inTheWay(path);
      else if (verb === "end-of-input") client.endInput();
      else if (verb === "closed") assert.equal(await client.line(), null);
      else if (verb === "left")
        assert.deepEqual(maildir.left(), text.split(" ").filter(Boolean).sort());
      else if (verb === "apop") {
        const [login, secret] = text.split(" ");
        const digest = createHash("md5").update(`${timestamp}${secret}`).digest("hex");
        client.send(`APOP ${login} ${digest}\r\n`);
      } else {
        const [, count = "1", expected = ""] = /^(?:\*(\d+) )?(.*)$/.exec(text) ?? [];
        for (let n = 0; n < Number(count); n++) {
          const reply = await client.line();
          timestamp ||= /<.*>/.exec(reply ?? "")?.[0] ?? "";
          const whole = expected === "" || !/^[+-]/.test(expected);
          assert.equal(whole ? reply : (reply?.slice(0, expected.length) ?? null), expected);
        }
      }
    } catch (error) {
      throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
    }
  }
}
