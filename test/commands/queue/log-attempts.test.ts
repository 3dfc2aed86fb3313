import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LogAttempts, sendLog, THOROUGH } from "../../../commands/queue/log-attempts.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";

const START = Date.UTC(2026, 10, 24);

/** A log directory whose lines come a second after the other. */
function logOf(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-attempts-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const lines = text
    .trim()
    .split("\n")
    .map((line, at) => `${formatTai64n(START + at * 1000)} ${line.trim()}\n`);
  // The first half was rotated away.
  const half = lines.length >> 1;
  writeFileSync(join(directory, `@${"4".repeat(24)}.s`), lines.slice(0, half).join(""));
  writeFileSync(join(directory, "current"), lines.slice(half).join(""));
  return directory;
}

function attempts(directory: string, ...wanted: string[]) {
  const log = new LogAttempts(directory, { wanted: () => wanted, limits: THOROUGH, now: START });
  return wanted.map((id) => log.of(id));
}

test("the last error, how often its recipient was tried, and whether the log begins before the message", (t) => {
  const directory = logOf(
    t,
    `starting delivery 1: msg 10 to remote old@x.test
     delivery 1: deferral: another_message's/
     end msg 10
     new msg 10
     info msg 10: bytes 1 from <a@b> qp 1 uid 0
     starting delivery 2: msg 10 to remote bob@x.test
     starting delivery 3: msg 10 to local joe
     starting delivery 4: msg 20 to remote ann@x.test
     delivery 3: success: did_1+0+0/
     delivery 2: deferral: first/
     delivery 4: failure: no_such_user/
     status: exiting
     starting delivery 1: msg 10 to remote bob@x.test
     delivery 1: report mangled, will defer
     new msg 30
     starting delivery 2: msg 30 to local eve
     starting delivery 3: msg 10 to remote other@x.test
     starting delivery 4: msg 10 to remote bob@x.test
     delivery 3: success: fine/
     delivery 4: deferral: third/
     starting delivery 5: msg 10 to remote bob@x.test
     starting delivery 6: msg 40 to remote big@x.test
     delivery 6: deferral: other/`,
  );
  const time = (line: number) => START + (line - 1) * 1000;
  assert.deepEqual(attempts(directory, "10", "20", "30", "50"), [
    { tries: 3, exact: true, error: "third/", recipient: "bob@x.test", time: time(20) },
    { tries: 1, exact: false, error: "no_such_user/", recipient: "ann@x.test", time: time(11) },
    { tries: 0, exact: true, error: null, recipient: "", time: Number.NaN },
    { tries: 0, exact: false, error: null, recipient: "", time: Number.NaN },
  ]);
});

test("no more is read than the messages asked for need", (t) => {
  const directory = logOf(t, "starting delivery 1: msg 1 to local a\nnew msg 2\ndelivery 9: x");
  writeFileSync(join(directory, `@${"4".repeat(24)}.s`), "");
  rmSync(join(directory, `@${"4".repeat(24)}.s`));
  // A directory in its place cannot be read.
  mkdirSync(join(directory, `@${"4".repeat(24)}.s`));
  assert.equal(attempts(directory, "2")[0]?.exact, true);
  assert.throws(() => attempts(directory, "1"), {
    name: "CommandError",
    message: /cannot read the log: EISDIR/,
  });
});

test("numbers beyond 2^53 are not taken for one another", (t) => {
  const directory = logOf(
    t,
    `new msg 9007199254740993
     starting delivery 1: msg 9007199254740993 to local a
     delivery 1: deferral: x/`,
  );
  assert.equal(attempts(directory, "9007199254740992")[0]?.error, null);
});

test("where the log is: as told, in the home, or nowhere", (t) => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-attempts-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  assert.equal(sendLog(home), null);
  mkdirSync(join(home, "log/qmail-send"), { recursive: true });
  writeFileSync(join(home, "log/qmail-send/current"), "");
  assert.equal(sendLog(home), `${home}/log/qmail-send`);
  assert.throws(() => sendLog(home, home), { message: /there is no log in ".*": it has no file/ });
});
