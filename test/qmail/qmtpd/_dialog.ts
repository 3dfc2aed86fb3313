/**
 * Reads and plays the sessions of test/dialogs/*.qmtp and *.qmqp. A line of such a file is one of:
 *
 *   # remark      control NAME: LINE|LINE      env NAME=VALUE      queue-exit CODE
 *   send TEXT     \n \r \0 \xNN as in JavaScript, \\*N(TEXT) N times; {TEXT} a netstring, also within another; {TEXT}*N N times
 *   answer TEXT   the beginning of the next netstring that comes back
 *   queued SENDER RECIPIENT...   (<> nobody, _ space)      text TEXT: how the message last `queued` ends
 *   exit CODE     of the program
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { BlockList, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { type Door, DoorServer } from "../../../qmail/qmtpd/service.ts";
import { programQueue } from "../../../qmail/queue/program-queue.ts";

export interface Dialog {
  readonly controls: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly queueExit: number;
  readonly input: Buffer;
  readonly answers: readonly string[];
  readonly queued: readonly Queued[];
  readonly exit: number;
}

interface Queued {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** How the text ends; absent where a dialog does not say. */
  text?: string;
}

/** The dialog in `source`. Throws on a line that is none. */
export function parseDialog(source: string): Dialog {
  const controls: Record<string, string> = { me: "mail.test\n" };
  const env: Record<string, string> = {};
  const input: Buffer[] = [];
  const answers: string[] = [];
  const queued: Queued[] = [];
  let [queueExit, exit] = [0, 0];
  for (const line of source.split("\n")) {
    const [, verb = "", rest = ""] = /^(\S+) ?(.*)$/.exec(line) ?? [];
    const [, name = "", value = ""] = /^([^:=]+)(?:: |=)(.*)$/.exec(rest) ?? [];
    if (verb === "control") controls[name] = `${value.replaceAll("|", "\n")}\n`;
    else if (verb === "env") env[name] = value;
    else if (verb === "queue-exit") queueExit = Number(rest);
    else if (verb === "send") input.push(Buffer.from(netstrings(unescaped(rest)), "latin1"));
    else if (verb === "answer") answers.push(rest);
    else if (verb === "queued") queued.push(envelope(rest));
    else if (verb === "text") (queued.at(-1) as Queued).text = unescaped(rest);
    else if (verb === "exit") exit = Number(rest);
    else if (line !== "" && verb !== "#") throw new Error(`no dialog line: "${line}"`);
  }
  return { controls, env, queueExit, input: Buffer.concat(input), answers, queued, exit };
}

function envelope(text: string): Queued {
  const [sender = "", ...recipients] = text.split(" ").map((word) => word.replaceAll("_", " "));
  return { sender: sender === "<>" ? "" : sender, recipients };
}

function unescaped(text: string): string {
  const names: Record<string, string> = { n: "\n", r: "\r", "0": "\0" };
  const whole = text.replace(/\\\*(\d+)\(([^)]*)\)/g, (_, times, part) =>
    part.repeat(Number(times)),
  );
  return whole.replace(/\\(?:x(..)|(.))/g, (_, hex, name) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : (names[name] ?? name),
  );
}

/** `text` with what is in braces made netstrings, from the inside out. */
function netstrings(text: string): string {
  const inner = /\{([^{}]*)\}(?:\*(\d+))?/;
  for (let match = inner.exec(text); match; match = inner.exec(text)) {
    const [all, content = "", times = "1"] = match;
    const netstring = `${content.length}:${content},`.repeat(Number(times));
    text = text.slice(0, match.index) + netstring + text.slice(match.index + all.length);
  }
  return text;
}

/** Removed when all is over: a queue program whose message was given up may still be at its end. */
const ROOT = mkdtempSync(join(tmpdir(), "qmail-qmtp-"));
after(() => rmSync(ROOT, { recursive: true, force: true, maxRetries: 3 }));

/** A home with the dialog's controls, and a program in place of qmail-queue that keeps what it gets. */
class World {
  readonly home = mkdtempSync(join(ROOT, "home-"));
  readonly program = join(this.home, "queue-program");
  readonly #messages = join(this.home, "messages");

  constructor({ controls, queueExit }: Dialog) {
    for (const name of ["control", "messages"]) mkdirSync(join(this.home, name));
    for (const [name, text] of Object.entries(controls)) {
      writeFileSync(join(this.home, "control", name), text);
    }
    const at = `${this.#messages}/$$`;
    // Without an envelope the message is given up, as qmail-queue does.
    const script = `#!/bin/sh\ncat >${at}.m; cat <&1 >${at}.e\n[ -s ${at}.e ] || exit 91\nexit ${queueExit}\n`;
    writeFileSync(this.program, script);
    chmodSync(this.program, 0o755);
  }

  /** Sorted, since the numbers of processes say nothing of order. */
  queued(): (Queued & { readonly text: string })[] {
    const read = (name: string) => readFileSync(join(this.#messages, name), "latin1");
    const names = readdirSync(this.#messages).filter(
      (name) => name.endsWith(".e") && read(name) !== "",
    );
    return names.map((name) => {
      const [sender = "", ...recipients] = read(name).slice(0, -2).split("\0");
      return {
        sender: sender.slice(1),
        recipients: recipients.map((each) => each.slice(1)),
        text: read(name.replace(/e$/, "m")),
      };
    });
  }
}

/** Plays the dialog with `qmail-NAME` as a program under a tcpserver. */
export async function playProgram(dialog: Dialog, file: string): Promise<void> {
  const world = new World(dialog);
  const child = spawn(process.execPath, [programPath(file)], {
    env: {
      PATH: process.env.PATH,
      QMAILHOME: world.home,
      QMAILQUEUE: world.program,
      TCPREMOTEIP: "192.0.2.1",
      ...dialog.env,
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk) => output.push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(dialog.input);
  const [code] = await once(child, "close");
  compare(dialog, { output: Buffer.concat(output), queued: world.queued() });
  assert.equal(code, dialog.exit);
}

/** Plays the dialog with the service of `door`, in pieces of `size` bytes. */
export async function playService(dialog: Dialog, door: Door, size: number): Promise<void> {
  const world = new World(dialog);
  const relayFrom = new BlockList();
  if (!door.open) relayFrom.addAddress("127.0.0.1");
  const server = new DoorServer(door, {
    listen: [{ host: "127.0.0.1", port: 0 }],
    concurrency: 10,
    relayFrom,
    home: world.home,
    env: dialog.env,
    log: () => {},
  });
  await server.bind();
  server.reread();
  server.serve(programQueue(world.program));
  try {
    const output = await exchange(server.ports[0] as number, dialog.input, size);
    compare(dialog, { output, queued: world.queued() });
  } finally {
    await server.end();
  }
}

/** What comes back for `input`, sent in pieces of `size` bytes, until the other side hangs up. */
async function exchange(port: number, input: Buffer, size: number): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  // A server that hangs up on nonsense resets what it has not read.
  socket.on("error", () => {});
  const output: Buffer[] = [];
  socket.on("data", (chunk) => output.push(chunk));
  for (let at = 0; at < input.length && !socket.destroyed; at += size) {
    await new Promise((resolve) => socket.write(input.subarray(at, at + size), resolve));
  }
  socket.end();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(output);
}

function compare(
  dialog: Dialog,
  actual: { output: Buffer; queued: readonly (Queued & { readonly text: string })[] },
): void {
  const answers = splitNetstrings(actual.output.toString("latin1"));
  const shown = answers.map((answer, at) => answer.slice(0, dialog.answers[at]?.length));
  assert.deepEqual(shown, dialog.answers, answers.join("\n"));
  const key = ({ sender, recipients }: Queued) => [sender, ...recipients].join(" ");
  assert.deepEqual(actual.queued.map(key).sort(), dialog.queued.map(key).sort());
  for (const wanted of dialog.queued) {
    const texts = actual.queued.filter((each) => key(each) === key(wanted)).map(({ text }) => text);
    for (const text of texts)
      assert.match(text, /^Received: from .*\n {2}by mail\.test with QM[QT]P; /);
    const end = wanted.text ?? "";
    assert.ok(
      texts.some((text) => text.endsWith(end)),
      texts.join("\n"),
    );
  }
}

function splitNetstrings(text: string): string[] {
  const all: string[] = [];
  for (let at = 0; at < text.length; ) {
    const match = /^(\d+):/.exec(text.slice(at, at + 12));
    assert.ok(match, `no netstring: ${text.slice(at)}`);
    const start = at + match[0].length;
    at = start + Number(match[1]);
    all.push(text.slice(start, at));
    assert.equal(text[at++], ",");
  }
  return all;
}
