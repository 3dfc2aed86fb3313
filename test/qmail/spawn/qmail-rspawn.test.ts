/** What qmail-remote may do, as the worker that qmail-rspawn keeps. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { formatUint32, heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import { programPath } from "../../../qmail/programs.ts";
import { parseTcpto } from "../../../qmail/remote/tcpto.ts";
import { FROM_SPAWNER, formatDelivery, SPAWN } from "../../../qmail/spawn/protocol.ts";
import { QmailHome } from "./_lspawn.ts";

/** Says at its start what it may and may not do. */
const ASKING = `
const may = (...what) => process.permission?.has(...what);
const home = process.cwd();
process.stderr.write(JSON.stringify({
  shadow: may("fs.read", "/etc/shadow"),
  passwords: may("fs.read", home + "/users/password"),
  queue: may("fs.read", home + "/queue/mess"),
  program: may("child"),
  thread: may("worker"),
  control: may("fs.read", home + "/control/me"),
  writeControl: may("fs.write", home + "/control/me"),
  own: may("fs.write", home + "/run/remote/x"),
}) + "\\n");`;

/** Has the worker that qmail-rspawn starts run ASKING first, with the arguments for Node that it gets. */
const HOOK = `
import child from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
const { spawn } = child;
const asking = "--import=data:text/javascript," + encodeURIComponent(${JSON.stringify(ASKING)});
child.spawn = (command, args, options) => spawn(command, [asking, ...args], options);
syncBuiltinESMExports();`;

/** A delivery to `recipient` by a real qmail-rspawn: the report, and what was said meanwhile. */
async function deliver(home: QmailHome, recipient: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [programPath("spawn/qmail-rspawn")], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: home.path, ...env },
  });
  let said = "";
  child.stderr?.on("data", (chunk) => (said += chunk));
  const report = Promise.withResolvers<string>();
  const link = new Link(child.stdio[3] as Socket, {
    hears: heard(FROM_SPAWNER, {
      hello() {},
      hold() {},
      free() {},
      waits() {},
      report: (text) => report.resolve(text),
    }),
    close: () => report.reject(new Error(`qmail-rspawn has gone: ${said}`)),
  });
  link.send(SPAWN.limit, 0, formatUint32(20));
  link.send(SPAWN.deliver, 1, formatDelivery(home.delivery(recipient)));
  const text = await report.promise;
  link.end();
  await once(child, "close");
  return { report: text, said };
}

function remoteHome(): QmailHome {
  const home = new QmailHome();
  mkdirSync(join(home.path, "run/remote"), { recursive: true });
  home.write("control/me", "local.test\n");
  home.write("queue/lock/tcpto", "\0".repeat(1024));
  return home;
}

test("qmail-remote may read its controls and write what it has learnt, and no more", async () => {
  using home = remoteHome();
  home.write("control/smtproutes", ":[127.0.0.1]:1\n");
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HOOK)}` };
  const { report, said } = await deliver(home, "a@b.test", env);
  assert.match(report, /^Z/);
  const [, answers = ""] =
    /^qmail-remote: (\{.*\})$/m.exec(said) ?? assert.fail(`${report} ${said}`);
  assert.deepEqual(JSON.parse(answers), {
    shadow: false,
    passwords: false,
    queue: false,
    program: false,
    thread: false,
    control: true,
    writeControl: false,
    own: true,
  });
});

test("it delivers, and keeps what it has learnt of TLS and of who times out", async () => {
  using home = remoteHome();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("220 hello\r\n");
    let data = false;
    socket.on("data", (chunk) => {
      for (const line of String(chunk).split("\r\n").slice(0, -1)) {
        if (line === "DATA") data = true;
        else if (data && line !== ".") continue;
        if (line === ".") data = false;
        socket.write(
          line === "DATA" ? "354 go\r\n" : line === "QUIT" ? "221 bye\r\n" : "250 ok\r\n",
        );
      }
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  home.write("control/smtproutes", `:[127.0.0.1]:${port}\n`);
  // Somebody was noted before: an answer forgets him.
  const table = Buffer.alloc(1024);
  table.set([127, 0, 0, 1, 5]);
  writeFileSync(join(home.path, "queue/lock/tcpto"), table);
  try {
    const { report, said } = await deliver(home, "a@b.test");
    assert.match(report, /^K127\.0\.0\.1 accepted message/);
    assert.equal(said, "");
    assert.deepEqual(parseTcpto(readFileSync(join(home.path, "queue/lock/tcpto"))), []);
  } finally {
    server.close();
  }
});
