/** qmail-popup and any checkpassword program behind it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Wire } from "../../../qmail/net/connection.ts";
import { Authorization } from "../../../qmail/pop3d/authorization.ts";
import { programPath } from "../../../qmail/programs.ts";

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
  };
  const context = { timestamp: "", canTls: false, withoutTls: true, login() {}, ended() {} };
  new Authorization(context, wire).timeout();
  assert.deepEqual(said.splice(0), ["-ERR idle for too long\r\n", "(end)"]);
  const session = new Authorization(context, wire);
  session.receive(Buffer.from(login("x")));
  said.length = 0;
  session.timeout();
  assert.deepEqual(said, []);
});
