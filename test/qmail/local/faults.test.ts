/** Errors of the disk and of NFS, put into the calls of the file system: right result, classic text, nothing half done. */

import assert from "node:assert/strict";
import fs, { readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Home } from "./_home.ts";

function systemError(code: string): Error {
  // Node has no name for these.
  const unnamed: Record<string, string> = {
    ESTALE: "Unknown system error -116",
    EDQUOT: "Unknown system error -122",
  };
  const said = unnamed[code] ?? code;
  return Object.assign(new Error(`${said}: injected, call`), { code: said });
}

type Call =
  | "openSync"
  | "statSync"
  | "fstatSync"
  | "writeSync"
  | "writevSync"
  | "renameSync"
  | "readFileSync";

/** Makes `call` fail with `code` wherever `when` says so. */
function inject(
  t: TestContext,
  call: Call,
  code: string,
  when: (args: unknown[]) => boolean,
): void {
  const real = fs[call] as (...args: unknown[]) => unknown;
  t.mock.method(fs, call, (...args: unknown[]) => {
    if (when(args)) throw systemError(code);
    return real(...args);
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

function injectFsync(t: TestContext, code: string): void {
  t.mock.method(fs, "fsync", (_fd: number, done: (error: Error) => void) =>
    setImmediate(done, systemError(code)),
  );
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

const inTmp = ([path]: unknown[]) =>
  String(path).includes("/tmp/") && String(path).includes("/in/");
const always = () => true;

const MAILDIR = "Temporary error on maildir delivery. (#4.3.0)\n";

/** What fails in a delivery to a Maildir, and how. */
const MAILDIR_FAULTS: readonly (readonly [Call, string, (args: unknown[]) => boolean])[] = [
  ["openSync", "EIO", inTmp],
  ["openSync", "ENOSPC", inTmp],
  ["openSync", "ESTALE", inTmp],
  ["writevSync", "ENOSPC", always],
  ["writevSync", "EDQUOT", always],
  ["writevSync", "EIO", always],
  ["renameSync", "EIO", always],
  ["renameSync", "ESTALE", always],
  ["renameSync", "EDQUOT", always],
];

for (const [call, code, when] of MAILDIR_FAULTS) {
  test(`Maildir: ${call} fails with ${code}`, async (t) => {
    using home = new Home();
    home.maildir("in");
    inject(t, call, code, when);
    const report = await home.deliver({ aliasempty: "./in/" });
    t.mock.restoreAll();
    syncBuiltinESMExports();
    assert.deepEqual(report, { status: "Z", text: MAILDIR });
    assert.deepEqual(home.new("in"), []);
    assert.deepEqual(readdirSync(join(home.path, "in/tmp")), []);
  });
}

for (const code of ["EIO", "ENOSPC", "EDQUOT", "ESTALE"]) {
  test(`Maildir: fsync fails with ${code}`, async (t) => {
    using home = new Home();
    home.maildir("in");
    injectFsync(t, code);
    assert.deepEqual(await home.deliver({ aliasempty: "./in/" }), { status: "Z", text: MAILDIR });
    assert.deepEqual(home.new("in"), []);
    assert.deepEqual(readdirSync(join(home.path, "in/tmp")), []);
  });
}

test("Maildir: NFS renames, loses the answer, and says at the second try that there is no such file", async (t) => {
  using home = new Home();
  home.maildir("in");
  const real = fs.renameSync;
  t.mock.method(fs, "renameSync", (from: string, to: string) => {
    real(from, to);
    throw systemError("ENOENT");
  });
  syncBuiltinESMExports();
  const report = await home.deliver({ aliasempty: "./in/" });
  t.mock.restoreAll();
  syncBuiltinESMExports();
  assert.equal(report.status, "K");
  assert.equal(home.new("in").length, 1);
});

test("Maildir: what a cut-off delivery left in tmp/ goes after 36 hours", async () => {
  using home = new Home();
  home.maildir("in");
  const tmp = join(home.path, "in/tmp");
  for (const [name, hours] of [
    ["old", 37],
    ["new", 35],
  ] as const) {
    writeFileSync(join(tmp, name), "x");
    const then = Date.now() / 1000 - hours * 3600;
    utimesSync(join(tmp, name), then, then);
  }
  await home.deliver({ aliasempty: "./in/" });
  assert.deepEqual(readdirSync(tmp), ["new"]);
});

/** What fails in a delivery to an mbox → the text. */
const MBOX_TEXTS = {
  ENOSPC: "Unable to write ./box: out of disk space. (#4.3.0)\n",
  EDQUOT: "Unable to write ./box: disk quota exceeded. (#4.3.0)\n",
  EIO: "Unable to write ./box: input/output error. (#4.3.0)\n",
  ESTALE: "Unable to write ./box: stale NFS file handle. (#4.3.0)\n",
};

for (const [code, text] of Object.entries(MBOX_TEXTS)) {
  test(`mbox: a write fails with ${code}, and the file is as long as it was`, async (t) => {
    using home = new Home();
    home.write("box", "From old\n\nold\n\n");
    let writes = 0;
    // The From_ line is written, the message is not.
    const real = fs.writeSync as (...args: unknown[]) => number;
    t.mock.method(fs, "writeSync", (...args: unknown[]) => {
      if (Buffer.isBuffer(args[1]) && args[1].includes("body") && ++writes > 0)
        throw systemError(code);
      return real(...args);
    });
    syncBuiltinESMExports();
    const report = await home.deliver({
      aliasempty: "./box",
      text: `Subject: x\n\n${"body\n".repeat(9)}`,
    });
    t.mock.restoreAll();
    syncBuiltinESMExports();
    assert.equal(writes, 1);
    assert.deepEqual(report, { status: "Z", text });
    assert.equal(readFileSync(join(home.path, "box"), "latin1"), "From old\n\nold\n\n");
  });

  test(`mbox: fsync fails with ${code}, and the file is as long as it was`, async (t) => {
    using home = new Home();
    home.write("box", "From old\n\nold\n\n");
    injectFsync(t, code);
    assert.deepEqual(await home.deliver({ aliasempty: "./box" }), { status: "Z", text });
    assert.equal(readFileSync(join(home.path, "box"), "latin1"), "From old\n\nold\n\n");
  });
}

test("mbox: a device that is full", async () => {
  using home = new Home();
  symlinkSync("/dev/full", join(home.path, "box"));
  const report = await home.deliver({ aliasempty: "./box" });
  assert.deepEqual(report, { status: "Z", text: MBOX_TEXTS.ENOSPC });
});

test("mbox: a message that ends in the middle of a line, by somebody's crash, does not swallow ours", async () => {
  using home = new Home();
  home.write("box", "From old\n\ncut of");
  await home.deliver({ aliasempty: "./box" });
  const text = readFileSync(join(home.path, "box"), "latin1");
  assert.match(text, /^From old\n\ncut of\n\nFrom a@b .*\nReturn-Path: /);
});

/** What fails before a delivery: call, error, path → report. */
const BEFORE: readonly (readonly [Call, string, string, string])[] = [
  ["statSync", "EIO", "/.", "Unable to switch to HOME: input/output error. (#4.3.0)\n"],
  ["statSync", "ESTALE", "/.", "Unable to switch to HOME: stale NFS file handle. (#4.3.0)\n"],
  ["statSync", "EACCES", "/.", "Unable to switch to HOME: access denied. (#4.3.0)\n"],
  ["openSync", "EACCES", ".qmail-x", "Unable to open .qmail-x: access denied. (#4.3.0)\n"],
  ["openSync", "EPERM", ".qmail-x", "Unable to open .qmail-x: permission denied. (#4.3.0)\n"],
  ["openSync", "ESTALE", ".qmail-x", "Unable to open .qmail-x: stale NFS file handle. (#4.3.0)\n"],
  [
    "openSync",
    "EMFILE",
    ".qmail-x",
    "Unable to open .qmail-x: process cannot open more files. (#4.3.0)\n",
  ],
  [
    "openSync",
    "EIO",
    ".qmail-default",
    "Unable to open .qmail-default: input/output error. (#4.3.0)\n",
  ],
  ["statSync", "EIO", "-owner", "Unable to open .qmail-x-owner: input/output error. (#4.3.0)\n"],
];

for (const [call, code, ending, text] of BEFORE) {
  test(`${call} of ${ending} fails with ${code}`, async (t) => {
    using home = new Home();
    home.maildir("in");
    if (ending === "-owner") home.write(".qmail-x", "./in/\n");
    inject(t, call, code, ([path]) => String(path).endsWith(ending));
    const report = await home.deliver({ dash: "-", ext: "x" });
    t.mock.restoreAll();
    syncBuiltinESMExports();
    assert.deepEqual(report, { status: "Z", text: text.replace("HOME", home.path) });
  });
}

test("a .qmail file that cannot be read to its end", async (t) => {
  using home = new Home();
  home.write(".qmail-x", "joe\n");
  inject(t, "readFileSync", "EIO", ([fd]) => typeof fd === "number");
  assert.deepEqual(await home.deliver({ dash: "-", ext: "x" }), {
    status: "Z",
    text: "Unable to open .qmail-x: input/output error. (#4.3.0)\n",
  });
});

for (const [at, lines] of [
  ["before anything", "./in/\n"],
  ["in a Maildir", "./in/\n"],
  ["in an mbox", "./box\n"],
  ["for a program", "|cat\n"],
] as const) {
  test(`the message cannot be read: ${at}`, async () => {
    using home = new Home();
    home.maildir("in");
    home.write("box", "");
    home.write(".qmail", lines);
    let reads = at === "before anything" ? 1 : 0;
    const message = {
      size: 100_000,
      async *chunks() {
        yield Buffer.from("Subject: x\n\nbody\n");
        if (++reads > 1) throw systemError("EIO");
      },
    };
    // The header is read once before, and that goes well: the look for loops ends at the empty line.
    if (at === "before anything") {
      message.chunks = async function* () {
        yield* [];
        throw systemError("EIO");
      };
    } else {
      reads = 1;
    }
    assert.deepEqual(await home.deliver({ message }), {
      status: "Z",
      text: "Unable to read message: input/output error. (#4.3.0)\n",
    });
    assert.deepEqual(home.new("in"), []);
    assert.deepEqual(readdirSync(join(home.path, "in/tmp")), []);
    assert.equal(readFileSync(join(home.path, "box"), "latin1"), "");
  });
}
