/** condredirect, bouncesaying, except, preline and qbiff as processes, as a .qmail file starts them. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { prelineOf } from "../../../qmail/local/preline.ts";
import { beginningOf, linesOf, woof } from "../../../qmail/local/qbiff.ts";
import { programPath } from "../../../qmail/programs.ts";

const directory = mkdtempSync(join(tmpdir(), "qmailctl-programs-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const MESSAGE = "Subject: x\n\nbody\n";
const queue = join(directory, "queue");
const queued = join(directory, "queued");
writeFileSync(
  queue,
  `#!/bin/sh\nexec 5<&1; cat >${queued}; cat <&5 >>${queued}; exit \${FAKE:-0}\n`,
);
chmodSync(queue, 0o755);
writeFileSync(join(directory, "message"), MESSAGE);

const ENV = {
  PATH: process.env.PATH,
  QMAILQUEUE: queue,
  SENDER: "s@x.y",
  UFLINE: "From s@x.y\n",
  RPLINE: "Return-Path: <s@x.y>\n",
  DTLINE: "Delivered-To: joe@h\n",
};

function run(program: string, args: readonly string[], env: Record<string, string> = {}) {
  const fd = openSync(join(directory, "message"), "r");
  try {
    const result = spawnSync(process.execPath, [programPath(`local/${program}`), ...args], {
      stdio: [fd, "pipe", "pipe"],
      encoding: "latin1",
      env: { ...ENV, ...env },
    });
    return [result.status, result.stdout, result.stderr.replace(/qp \d+/, "qp N")];
  } finally {
    closeSync(fd);
  }
}

const sh = (script: string) => ["sh", "-c", script];

/** Program, arguments → exit code, standard output, standard error. */
const CASES: readonly (readonly [string, readonly string[], number, string, string])[] = [
  ["except", sh("exit 0"), 100, "", ""],
  ["except", sh("exit 100"), 0, "", ""],
  ["except", sh("exit 1"), 0, "", ""],
  ["except", sh("exit 111"), 111, "", "except: fatal: temporary child error\n"],
  ["except", sh("kill -9 $$"), 111, "", "except: fatal: child crashed\n"],
  ["except", ["/none/such"], 0, "", ""],
  ["except", [], 100, "", "except: usage: except program [ arg ... ]\n"],
  ["bouncesaying", ["No more."], 100, "", "No more.\n"],
  ["bouncesaying", ["No more.", ...sh("grep -q body")], 100, "", "No more.\n"],
  ["bouncesaying", ["No more.", ...sh("grep -q other")], 0, "", ""],
  ["bouncesaying", ["No more.", "/none/such"], 0, "", ""],
  [
    "bouncesaying",
    ["x", ...sh("exit 111")],
    111,
    "",
    "bouncesaying: fatal: temporary child error\n",
  ],
  [
    "bouncesaying",
    [],
    100,
    "",
    "bouncesaying: usage: bouncesaying error [ program [ arg ... ] ]\n",
  ],
  ["condredirect", ["n@x.y", ...sh("grep -q body")], 99, "", "condredirect: qp N\n"],
  ["condredirect", ["n@x.y", ...sh("cat; exit 0")], 99, MESSAGE, "condredirect: qp N\n"],
  ["condredirect", ["n@x.y", ...sh("exit 1")], 0, "", ""],
  ["condredirect", ["n@x.y", "/none/such"], 0, "", ""],
  [
    "condredirect",
    ["n@x.y", ...sh("exit 111")],
    111,
    "",
    "condredirect: fatal: temporary child error\n",
  ],
  [
    "condredirect",
    ["n@x.y"],
    100,
    "",
    "condredirect: usage: condredirect newaddress program [ arg ... ]\n",
  ],
  ["preline", ["cat"], 0, `${ENV.UFLINE}${ENV.RPLINE}${ENV.DTLINE}${MESSAGE}`, ""],
  ["preline", ["-f", "cat"], 0, `${ENV.RPLINE}${ENV.DTLINE}${MESSAGE}`, ""],
  ["preline", ["-rd", "cat"], 0, `${ENV.UFLINE}${MESSAGE}`, ""],
  ["preline", ["-frdD", "--", "cat"], 0, `${ENV.DTLINE}${MESSAGE}`, ""],
  ["preline", ["-frd", ...sh("cat /dev/stdin")], 0, MESSAGE, ""],
  ["preline", ["-frd", ...sh("cat /dev/fd/0")], 0, MESSAGE, ""],
  [
    "preline",
    ["-fr", ...sh("head -c 3 >/dev/null; cat /dev/stdin")],
    0,
    `${ENV.DTLINE}${MESSAGE}`,
    "",
  ],
  ["preline", sh("exit 77"), 77, "", ""],
  ["preline", sh("kill -9 $$"), 111, "", "preline: fatal: child crashed\n"],
  [
    "preline",
    ["/none/such"],
    100,
    "",
    "preline: fatal: unable to run /none/such: file does not exist\n",
  ],
  ["preline", ["-x", "cat"], 100, "", "preline: usage: preline cmd [ arg ... ]\n"],
  ["preline", [], 100, "", "preline: usage: preline cmd [ arg ... ]\n"],
  ["qbiff", [], 0, "", ""],
];

for (const [program, args, code, stdout, stderr] of CASES) {
  test(`${program} ${args.join(" ")}`, () => {
    assert.deepEqual(run(program, args), [code, stdout, stderr]);
  });
}

test("condredirect sends the whole message on, with DTLINE, and from the envelope sender", () => {
  assert.equal(run("condredirect", ["n@x.y", ...sh("head -c 4")])[0], 99);
  assert.equal(readFileSync(queued, "latin1"), `Delivered-To: joe@h\n${MESSAGE}Fs@x.y\0Tn@x.y\0\0`);
  assert.deepEqual(run("condredirect", ["n@x.y", "true"], { FAKE: "31" }), [
    100,
    "",
    "condredirect: fatal: mail server permanently rejected message (#5.3.0)\n",
  ]);
  assert.equal(run("condredirect", ["n@x.y", "true"], { FAKE: "53" })[0], 111);
});

test("preline without its variables", () => {
  assert.equal(prelineOf(["cat"], { UFLINE: "", RPLINE: "" }), null);
});

/** An entry of utmp(5). */
function utmp(type: number, line: string, user: string): Buffer {
  const entry = Buffer.alloc(384);
  entry.writeInt16LE(type, 0);
  entry.write(line, 8, 32);
  entry.write(user, 44, 32);
  return entry;
}

test("qbiff: terminals of the user, and nothing that leads elsewhere", () => {
  const entries = [
    utmp(7, "pts/1", "joe"),
    utmp(7, "pts/2", "ann"),
    utmp(8, "pts/3", "joe"),
    utmp(7, "/etc/passwd", "joe"),
    utmp(7, "../etc/passwd", "joe"),
    utmp(7, "tty1", "joe"),
  ];
  assert.deepEqual(linesOf(Buffer.concat(entries), "joe", 384), ["pts/1", "tty1"]);
  assert.deepEqual(linesOf(Buffer.from("short"), "joe", 384), []);
});

test("qbiff: what is shown is printable", async () => {
  const message = (async function* () {
    yield Buffer.from("From: x\nSubject:   news\x1b[2J\n\nline 1\nline 2\n");
  })();
  const text = woof({ LOCAL: "joe", SENDER: "a\x1b@b" }, await beginningOf(message));
  assert.equal(text, "\r\n\x07*** TO <joe> FROM <a_@b>\r\n    news/[2J//line 1/line 2/\r\n");
});
