/** The ways to talk to qmail-smtpd, for dialogs: its engine, its service, and the program on pipes. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { NO_GUARD } from "../../../qmail/net/login-brakes.ts";
import { type CertificateFiles, Certificates } from "../../../qmail/net/tls.ts";
import { programPath } from "../../../qmail/programs.ts";
import { parseEnvelope } from "../../../qmail/queue/envelope.ts";
import { readSmtpdControls } from "../../../qmail/smtpd/controls.ts";
import { completing } from "../../../qmail/smtpd/headerfields.ts";
import { parseOptions } from "../../../qmail/smtpd/options.ts";
import { SmtpServer } from "../../../qmail/smtpd/server.ts";
import { openStore } from "../../../qmail/smtpd/store.ts";
import { makeCertificate } from "../_certificate.ts";
import { type Dialog, type Driver, Replies } from "./_dialog.ts";
import { Client, FakeQueue, type Message } from "./_world.ts";

/** Begins a session with a qmail-smtpd whose home is `home`. */
type Begin = (dialog: Dialog, home: string) => Promise<Driver>;

export const DOORS: Readonly<Record<string, Begin>> = {
  engine: (dialog, home) => engine(dialog, home, Number.POSITIVE_INFINITY),
  "engine, byte by byte": (dialog, home) => engine(dialog, home, 1),
  service,
  classic,
};

/** A home with the control files of `dialog` and the program that knows joe's password. */
export function makeHome({ controls }: Pick<Dialog, "controls">): string {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-smtpd-"));
  mkdirSync(join(home, "control"));
  for (const [name, text] of Object.entries({ me: "mail.test\n", ...controls })) {
    writeFileSync(join(home, "control", name), text);
  }
  writeFileSync(join(home, "checkpassword"), CHECKPASSWORD, { mode: 0o755 });
  return home;
}

/** joe's password is "secret", and nobody can say what broken's is. */
const CHECKPASSWORD = `#!/bin/sh
words=$(tr '\\0' '|' <&3)
case "$words" in
  'joe|secret||' | 'joe@example.test|secret||') exec "$@" ;;
  broken*) exit 111 ;;
esac
exit 1
`;

let files: CertificateFiles | null = null;

/** A certificate for mail.test, the same for all tests of this process. */
function certificate(): CertificateFiles {
  if (files) return files;
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-smtpd-certificate-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  files = makeCertificate(directory, "mail.test");
  return files;
}

/** The command line that `dialog` asks for. */
function commandLine(dialog: Dialog, home: string): string[] {
  const { options } = dialog;
  const pair = dialog.certificate ? certificate() : null;
  const tls = pair ? ["--certificate", pair.certificate, "--key", pair.key] : [];
  const words = options.map((word) => (word === "checkpassword" ? join(home, word) : word));
  return [...tls, ...words];
}

async function engine(dialog: Dialog, home: string, piece: number): Promise<Driver> {
  const { env, queueExit } = dialog;
  const queue = new FakeQueue();
  queue.exitCode = queueExit;
  const replies = new Replies();
  const { auth, submission, certificates } = parseOptions(commandLine(dialog, home));
  const guard = NO_GUARD;
  const client = new Client(readSmtpdControls(home, env), {
    queue,
    relayclient: env.RELAYCLIENT ?? null,
    startTls: certificates.length > 0,
    login: auth && {
      store: openStore(auth, { home, warn() {} }),
      guard,
      host: "mail.test",
      withoutTls: auth.withoutTls,
    },
    submission,
    rewriting: submission && completing("mail.test"),
  });
  client.onOutput = () => {
    replies.push(client.replies);
    client.replies = "";
    if (client.ended) replies.end();
  };
  client.onOutput();
  // What an error costs is no test's time, but for the doors that have clocks of their own.
  client.onAllow = (ms) => {
    if (ms <= 1000) setImmediate(() => client.pass(ms));
  };
  return {
    send(bytes) {
      for (let at = 0; at < bytes.length; at += piece) {
        client.session.receive(Buffer.from(bytes.subarray(at, at + piece)));
      }
    },
    async secure() {
      assert.equal(client.securing, true);
      client.session.secured({
        protocol: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        servername: null,
      });
    },
    endInput: () => client.session.inputEnd(),
    silence: () => client.session.timeout(),
    stop: () => client.session.stop(),
    reply: () => replies.next(),
    queued: () => queue.messages,
    async close() {
      client.session.lost();
      replies.end();
      assert.equal(queue.underWay, 0, "a message was neither queued nor given up");
    },
  };
}

/** A client on a stream, which may put TLS on it. */
function streamClient(stream: Duplex) {
  const replies = new Replies();
  let at = stream;
  const follow = (from: Duplex) => {
    from.on("error", () => {});
    from.on("data", (chunk: Buffer) => replies.push(chunk.toString("latin1")));
    from.on("close", () => replies.end());
    from.on("end", () => {
      replies.end();
      from.end();
    });
    at = from;
  };
  follow(stream);
  return {
    replies,
    send: (bytes: Buffer) => void at.write(bytes),
    endInput: () => void at.end(),
    async secure() {
      stream.removeAllListeners("data").removeAllListeners("end").removeAllListeners("close");
      const tls = connectTls({ socket: stream, rejectUnauthorized: false });
      await once(tls, "secureConnect");
      follow(tls);
    },
    destroy() {
      at.destroy();
      stream.destroy();
    },
  };
}

async function service(dialog: Dialog, home: string): Promise<Driver> {
  const { env, queueExit } = dialog;
  const queue = new FakeQueue();
  queue.exitCode = queueExit;
  const options = parseOptions(commandLine(dialog, home));
  const { auth, certificates } = options;
  const server = new SmtpServer({
    ...options,
    listen: [{ host: "127.0.0.1", port: 0, tls: false }],
    env,
    home,
    log() {},
  });
  await server.bind();
  server.serve({
    queueFor: () => queue,
    certificates:
      certificates.length === 0
        ? null
        : new Certificates({
            files: certificates,
            user: { name: "us", group: "us" },
            warn: assert.fail,
          }),
    auth: auth && {
      store: openStore(auth, { home, warn() {} }),
      withoutTls: auth.withoutTls,
    },
  });
  const client = streamClient(
    connect({ port: server.ports[0] ?? 0, host: "127.0.0.1", allowHalfOpen: true }),
  );
  return {
    ...client,
    reply: () => client.replies.next(),
    silence() {},
    stop: () => void server.end(),
    queued: () => queue.messages,
    async close() {
      client.destroy();
      client.replies.end();
      await server.end();
    },
  };
}

/** As under tcpserver, with a QMAILQUEUE program that keeps what it gets. */
async function classic(dialog: Dialog, home: string): Promise<Driver> {
  const { env, queueExit } = dialog;
  const program = join(home, "queue-program");
  // Message on descriptor 0, envelope on 1; the messages are numbered in their order.
  const number = 'n=1; while [ -e "$KEEP.$n.env" ]; do n=$((n+1)); done; cat >"$KEEP.$n"';
  const script = `#!/bin/sh\n${number}\n[ "$EXIT" = 0 ] && cat <&1 >"$KEEP.$n.env"\nexit $EXIT\n`;
  writeFileSync(program, script, { mode: 0o755 });
  const kept = join(home, "kept");
  const args = [programPath("smtpd/qmail-smtpd"), ...commandLine(dialog, home)];
  const child = spawn(process.execPath, args, {
    stdio: ["pipe", "pipe", "ignore"],
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
  const client = streamClient(Duplex.from({ readable: child.stdout, writable: child.stdin }));
  return {
    ...client,
    reply: () => client.replies.next(),
    silence() {},
    stop: () => assert.fail("a program has no one to tell it"),
    queued: () => readKept(kept),
    async close() {
      client.endInput();
      child.stdin.end();
      await exited;
      client.replies.end();
    },
  };
}

function readKept(kept: string): Message[] {
  const messages: Message[] = [];
  for (let n = 1; existsSync(`${kept}.${n}.env`); n++) {
    const envelope = readFileSync(`${kept}.${n}.env`);
    // A message that was given up leaves no envelope.
    if (envelope.length === 0) continue;
    messages.push({ ...parseEnvelope(envelope), text: readFileSync(`${kept}.${n}`, "latin1") });
  }
  return messages;
}
