/**
 * Reads and plays the conversations of test/dialogs. A line of such a file is one of:
 *
 *   # remark                    control NAME: LINE|LINE      env NAME=VALUE      queue-exit CODE
 *   options --LIKE THIS         (for the command line; users of AUTH are "joe" with "secret")
 *   -> command, CR LF follows   => bytes, with \r \n \0      => *N bytes, N times
 *   <- beginning of a reply     <- /pattern/                 <- *N N replies      closed: we hang up
 *   silence: for too long       stop: the service is to end  doors NAME...: only these
 *   certificate                 in-one-piece: not for a door that takes single bytes
 *   tls: the handshake          end-of-input: the client sends no more, but listens
 *   queued SENDER RECIPIENT...  (<> nobody, _ space)         nothing-queued
 *   received /pattern/          body TEXT or /pattern/: of the message last `queued`
 */

import assert from "node:assert/strict";
import type { Message } from "./_world.ts";

export interface Dialog {
  readonly controls: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly queueExit: number;
  /** Of the command line, without files. */
  readonly options: readonly string[];
  /** There is a certificate, so TLS can begin. */
  readonly certificate: boolean;
  /** Names of the doors it is for; none: all. */
  readonly doors: readonly string[];
  /** What is sent at once must arrive at once. */
  readonly inOnePiece: boolean;
  readonly steps: readonly Step[];
}

interface Step {
  readonly line: number;
  readonly verb: string;
  readonly text: string;
}

/** One session with a qmail-smtpd, however it is run. */
export interface Driver {
  send(bytes: Buffer): void;
  /** Begins TLS; resolves when it is there. */
  secure(): Promise<void>;
  endInput(): void;
  /** The client says nothing until the other side has had enough. */
  silence(): void;
  /** The service is told to end. */
  stop(): void;
  /** The next line without CR LF; null when the other side has hung up. */
  reply(): Promise<string | null>;
  /** The messages in the queue, in order. */
  queued(): readonly Message[];
  /** Ends the session. */
  close(): Promise<void>;
}

const STEP =
  /^(->|=>|<-|closed|tls|end-of-input|silence|stop|queued|nothing-queued|received|body)(?: (.*))?$/;

/** The dialog in `text`. Throws on a line that is none. */
export function parseDialog(text: string): Dialog {
  const controls: Record<string, string> = {};
  const env: Record<string, string> = {};
  const steps: Step[] = [];
  let queueExit = 0;
  let options: string[] = [];
  let certificate = false;
  let inOnePiece = false;
  let doors: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [, control, lines = ""] = /^control (\S+): (.*)$/.exec(line) ?? [];
    const [, name, value = ""] = /^env (\S+?)=(.*)$/.exec(line) ?? [];
    const [, verb, rest = ""] = STEP.exec(line) ?? [];
    const words = /^options (.+)$/.exec(line)?.[1];
    const names = /^doors (.+)$/.exec(line)?.[1];
    const exit = /^queue-exit (\d+)$/.exec(line)?.[1];
    if (control) controls[control] = `${lines.replaceAll("|", "\n")}\n`;
    else if (name) env[name] = value;
    else if (line === "certificate") certificate = true;
    else if (line === "in-one-piece") inOnePiece = true;
    else if (names) doors = names.split(" ");
    else if (words) options = words.split(" ");
    else if (exit) queueExit = Number(exit);
    else if (verb) steps.push({ line: index + 1, verb, text: rest });
    else if (line !== "" && !line.startsWith("#")) throw new Error(`no dialog line: "${line}"`);
  }
  return { controls, env, queueExit, options, certificate, doors, inOnePiece, steps };
}

/** Plays `dialog`; every line of the other side must be expected. */
export async function play(dialog: Dialog, driver: Driver): Promise<void> {
  const seen: Seen = { messages: 0, text: "" };
  for (const step of dialog.steps) {
    try {
      await playStep(step, driver, seen);
    } catch (error) {
      throw new Error(`line ${step.line}: ${(error as Error).message}`, { cause: error });
    }
  }
  await driver.close();
  assert.equal(await driver.reply(), null);
  assert.ok(driver.queued().length <= Math.max(seen.messages, countAccepted(dialog)));
}

interface Seen {
  /** How many messages were looked at. */
  messages: number;
  /** The last of them. */
  text: string;
}

async function playStep({ verb, text }: Step, driver: Driver, seen: Seen): Promise<void> {
  switch (verb) {
    case "->":
      driver.send(Buffer.from(`${text}\r\n`, "latin1"));
      break;
    case "=>":
      driver.send(bytesOf(text));
      break;
    case "tls":
      await driver.secure();
      break;
    case "end-of-input":
      driver.endInput();
      break;
    case "silence":
      driver.silence();
      break;
    case "stop":
      driver.stop();
      break;
    case "<-": {
      const [, count = "1", expected = ""] = /^(?:\*(\d+) )?(.*)$/.exec(text) ?? [];
      for (let n = 0; n < Number(count); n++) expectText(await driver.reply(), expected);
      break;
    }
    case "closed":
      assert.equal(await driver.reply(), null);
      break;
    case "nothing-queued":
      assert.deepEqual(driver.queued(), []);
      break;
    case "queued":
      expectQueued(driver.queued()[seen.messages++], text, seen);
      break;
    case "received":
      expectText(seen.text.split("\n").slice(0, 2).join("\n"), text);
      break;
    default:
      expectBody(seen.text.split("\n").slice(2).join("\n"), text);
  }
}

function expectText(actual: string | null, expected: string): void {
  const pattern = /^\/(.*)\/(s?)$/.exec(expected);
  if (pattern) assert.match(actual ?? "(closed)", new RegExp(pattern[1] as string, pattern[2]));
  else assert.equal(actual?.slice(0, expected.length) ?? "(closed)", expected);
}

function expectBody(actual: string, expected: string): void {
  if (expected.startsWith("/")) expectText(actual, expected);
  else assert.equal(actual, bytesOf(expected).toString("latin1"));
}

function expectQueued(message: Message | undefined, expected: string, seen: Seen): void {
  assert.ok(message, "no message in the queue");
  const addresses = [message.sender || "<>", ...message.recipients];
  assert.equal(addresses.map((address) => address.replaceAll(" ", "_")).join(" "), expected);
  seen.text = message.text;
}

function bytesOf(text: string): Buffer {
  const [, count = "1", bytes = ""] = /^(?:\*(\d+) )?(.*)$/.exec(text) ?? [];
  const plain = bytes.replace(/\\([rn0\\])/g, (_, letter: string) => ESCAPES[letter] ?? letter);
  return Buffer.from(plain.repeat(Number(count)), "latin1");
}

const ESCAPES: Readonly<Record<string, string>> = { r: "\r", n: "\n", 0: "\0" };

function countAccepted({ steps }: Dialog): number {
  return steps.filter(({ verb, text }) => verb === "<-" && /250 ok/.test(text)).length;
}

/** A reply that takes longer will not come. */
const LATE_MS = 10_000;

/** Text that comes in pieces, read in lines. */
export class Replies {
  #text = "";
  #ended = false;
  #wake: () => void = () => {};
  #late = false;

  push(text: string): void {
    this.#text += text;
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async next(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\r\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return line;
      }
      if (this.#ended) return this.#text === "" ? null : `(unfinished) ${this.#text}`;
      const late = setTimeout(() => {
        this.#late = true;
        this.#wake();
      }, LATE_MS);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      clearTimeout(late);
      if (this.#late) throw new Error(`no reply, only "${this.#text}"`);
    }
  }
}
