/** Every conversation of test/dialogs, with the engine, the service and the classic door. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { programPath } from "../../../qmail/programs.ts";
import { parseEnvelope } from "../../../qmail/queue/envelope.ts";
import { readSmtpdControls } from "../../../qmail/smtpd/controls.ts";
import { parseRelayFrom, SmtpServer } from "../../../qmail/smtpd/server.ts";
import { Session } from "../../../qmail/smtpd/session.ts";
import { type Dialog, type Driver, parseDialog, play, Replies } from "./_dialog.ts";
import { FakeQueue, type Message } from "./_queue.ts";

const DIALOGS = fileURLToPath(new URL("../../dialogs/", import.meta.url));

type Begin = (dialog: Dialog, home: string) => Promise<Driver>;

const DOORS: Readonly<Record<string, Begin>> = {
  engine: (dialog, home) => engine(dialog, home, Number.POSITIVE_INFINITY),
  "engine, byte by byte": (dialog, home) => engine(dialog, home, 1),
  service,
  classic,
};

for (const file of readdirSync(DIALOGS).filter((name) => name.endsWith(".smtp"))) {
  const dialog = parseDialog(readFileSync(join(DIALOGS, file), "latin1"));
  for (const [door, begin] of Object.entries(DOORS)) {
    test(`${file}: ${door}`, { timeout: 20_000 }, async () => {
      const home = mkdtempSync(join(tmpdir(), "qmailctl-smtpd-"));
      try {
        mkdirSync(join(home, "control"));
        for (const [name, text] of Object.entries({ me: "mail.test\n", ...dialog.controls })) {
          writeFileSync(join(home, "control", name), text);
        }
        const driver = await begin(dialog, home);
        // A conversation that went wrong must not leave a server behind.
        await play(dialog, driver).finally(() => driver.close());
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    });
  }
}

async function engine({ env, queueExit }: Dialog, home: string, piece: number): Promise<Driver> {
  const queue = new FakeQueue();
  queue.exitCode = queueExit;
  const replies = new Replies();
  const controls = readSmtpdControls(home);
  const session = new Session({
    number: 1,
    peer: { ip: "127.0.0.1", host: "unknown", info: null },
    queue,
    controls,
    databytes: Number(env.DATABYTES ?? controls.databytes),
    relayclient: env.RELAYCLIENT ?? null,
    isOwnAddress: (ip) => ip === "127.0.0.1",
    now: () => 1_000_000_000,
    log() {},
    write: (reply) => replies.push(reply),
    end: () => replies.end(),
    flow() {},
  });
  session.greet();
  return {
    send(bytes) {
      for (let at = 0; at < bytes.length; at += piece) {
        session.receive(Buffer.from(bytes.subarray(at, at + piece)));
      }
    },
    endInput: () => session.inputEnd(),
    reply: () => replies.next(),
    queued: () => queue.messages,
    async close() {
      session.closed("connection lost");
      replies.end();
      assert.equal(queue.underWay, 0, "a message was neither queued nor given up");
    },
  };
}

async function service({ env, queueExit }: Dialog, home: string): Promise<Driver> {
  const queue = new FakeQueue();
  queue.exitCode = queueExit;
  const server = new SmtpServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    concurrency: 1,
    relayFrom: parseRelayFrom("") ?? assert.fail(),
    env,
    home,
    log() {},
  });
  await server.bind();
  server.serve(queue);
  const socket = connect({ port: server.ports[0] ?? 0, host: "127.0.0.1", allowHalfOpen: true });
  const replies = new Replies();
  socket.on("error", () => {});
  socket.on("data", (chunk) => replies.push(chunk.toString("latin1")));
  socket.on("close", () => replies.end());
  socket.on("end", () => {
    replies.end();
    socket.end();
  });
  return {
    send: (bytes) => void socket.write(bytes),
    endInput: () => void socket.end(),
    reply: () => replies.next(),
    queued: () => queue.messages,
    async close() {
      socket.destroy();
      replies.end();
      await server.end();
    },
  };
}

/** As under tcpserver, with a QMAILQUEUE program that keeps what it gets. */
async function classic({ env, queueExit }: Dialog, home: string): Promise<Driver> {
  const program = join(home, "queue-program");
  // Message on descriptor 0, envelope on 1; the messages are numbered in their order.
  const number = 'n=1; while [ -e "$KEEP.$n.env" ]; do n=$((n+1)); done; cat >"$KEEP.$n"';
  const script = `#!/bin/sh\n${number}\n[ "$EXIT" = 0 ] && cat <&1 >"$KEEP.$n.env"\nexit $EXIT\n`;
  writeFileSync(program, script, { mode: 0o755 });
  const kept = join(home, "kept");
  const child = spawn(process.execPath, [programPath("smtpd/qmail-smtpd")], {
    env: {
      PATH: process.env.PATH,
      QMAILHOME: home,
      QMAILQUEUE: program,
      KEEP: kept,
      EXIT: String(queueExit),
      TCPREMOTEIP: "127.0.0.1",
      TCPLOCALIP: "127.0.0.1",
      TCPLOCALHOST: "mail.test",
      ...env,
    },
  });
  const exited = once(child, "close");
  const replies = new Replies();
  child.stdout.on("data", (chunk: Buffer) => replies.push(chunk.toString("latin1")));
  child.stdout.on("end", () => replies.end());
  child.stdin.on("error", () => {});
  return {
    send: (bytes) => void child.stdin.write(bytes),
    endInput: () => void child.stdin.end(),
    reply: () => replies.next(),
    queued: () => readKept(kept),
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}

function readKept(kept: string): Message[] {
  const messages: Message[] = [];
  for (let n = 1; existsSync(`${kept}.${n}.env`); n++) {
    const envelope = readFileSync(`${kept}.${n}.env`);
    if (envelope.length === 0) break;
    messages.push({ ...parseEnvelope(envelope), text: readFileSync(`${kept}.${n}`, "latin1") });
  }
  return messages;
}
