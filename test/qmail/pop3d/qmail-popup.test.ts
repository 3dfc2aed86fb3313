/** qmail-popup and any checkpassword program behind it. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Wire } from "../../../qmail/net/connection.ts";
import { Authorization } from "../../../qmail/pop3d/authorization.ts";
import { programPath } from "../../../qmail/programs.ts";
import { lacks, run } from "../../site/_site.ts";
import { MailServer } from "./_mailserver.ts";

const directory = mkdtempSync(join(tmpdir(), "qmailctl-popup-"));
after(() => rmSync(directory, { recursive: true }));

/** As others write them: in sh, of descriptor 3 no more than what it wants, the session by exec. */
const CHECKPASSWORD = join(directory, "checkpassword");
writeFileSync(
  CHECKPASSWORD,
  `#!/bin/sh
tr '\\0' '\\n' <&3 >"${directory}/heard"
{ read -r login; read -r password; } <"${directory}/heard"
[ "$login:$password" = "joe:open sesame" ] || exit 1
export USER=joe HOME="${directory}"
exec "$@" 3<&-
`,
  { mode: 0o755 },
);

/** What qmail-popup says with `args` to `input`, which comes all at once. */
function popup(args: readonly string[], input: string): string {
  const { stdout, status } = spawnSync(
    process.execPath,
    [programPath("pop3d/qmail-popup"), ...args],
    { input, encoding: "latin1", timeout: 60_000 },
  );
  assert.equal(status, 1, "C qmail's code for every end");
  return stdout;
}

const login = (password: string) => `USER joe\r\nPASS ${password}\r\n`;

test("a checkpassword program gets three words on descriptor 3, and runs what is behind it", () => {
  const said = popup(
    ["mail.test", CHECKPASSWORD, "sh", "-c", 'echo "+OK $USER in $HOME"; cat'],
    login("open sesame"),
  );
  const [, timestamp = ""] = /^\+OK (<\d+\.\d+@mail\.test>)\r\n/.exec(said) ?? [];
  assert.equal(said, `+OK ${timestamp}\r\n+OK \r\n+OK joe in ${directory}\n`);
  assert.equal(
    readFileSync(join(directory, "heard"), "latin1"),
    `joe\nopen sesame\n${timestamp}\n`,
  );
});

test("what its exit code means", () => {
  for (const [command, reply] of [
    [[CHECKPASSWORD, "true"], "-ERR authorization failed"],
    [["sh", "-c", "exit 111"], "-ERR authorization failed"],
    [[join(directory, "none")], "-ERR authorization failed"],
    [["sh", "-c", "kill -9 $$"], "-ERR aack, child crashed"],
  ] as const) {
    assert.match(popup(["mail.test", ...command], login("x")), /^\+OK <.*>\r\n\+OK \r\n/);
    assert.equal(popup(["mail.test", ...command], login("x")).split("\r\n")[2], reply);
  }
});

test("Debian's tcpserver runs qmail-popup, checkpassword and qmail-pop3d, for curl", {
  skip: lacks("tcpserver", "curl"),
  timeout: 300_000,
}, async () => {
  await using server = await MailServer.create();
  for (const n of [1, 2]) server.deliver(`new/${n}`, `Subject: number ${n}\n`, 1_000_000 + n);
  const options = ["-1", "-R", "-H", "-l", "0", "127.0.0.1", "0"];
  const child = spawn("tcpserver", [...options, ...server.command], {
    env: server.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [port] = await once(child.stdout, "data");
    const url = `pop3://127.0.0.1:${Number(port)}/`;
    const curl = (...args: string[]) => run("curl", ["-s", "-m", "60", ...args]);
    // The greeting has a timestamp, so it is APOP that curl takes.
    assert.equal((await curl("-u", "joe:wrong", url)).code, 67);
    assert.match((await curl("-u", "joe:pw", `${url}2`)).stdout, /^Subject: number 2\r\n/);
    await curl("-u", "joe:pw", "-I", "-X", "DELE 1", url);
    assert.deepEqual(server.left(), ["cur/2:2,"]);
  } finally {
    const exit = once(child, "exit");
    child.kill();
    await exit;
  }
});

test("without a program to ask it says what it wants", () => {
  assert.equal(popup(["mail.test"], ""), "-ERR usage: popup hostname subprogram\r\n");
});

test("who says nothing for too long is let go; while a login is checked that does not count", () => {
  const said: string[] = [];
  const wire: Wire = {
    write: (data) => said.push(String(data)) > 0,
    end: () => void said.push("(end)"),
    flow() {},
    startTls() {},
    allow() {},
    extend() {},
  };
  const limits = () => ({ loginMs: 60_000, idleMs: 600_000, maxErrors: 20 });
  const context = {
    timestamp: "",
    canTls: false,
    withoutTls: true,
    limits,
    login() {},
    ended() {},
  };
  new Authorization(context, wire).timeout();
  assert.deepEqual(said.splice(0), ["-ERR idle for too long\r\n", "(end)"]);
  const session = new Authorization(context, wire);
  session.receive(Buffer.from(login("x")));
  said.length = 0;
  session.timeout();
  assert.deepEqual(said, []);
});
