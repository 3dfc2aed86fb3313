import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { findSources, journalLine, type SourceOptions } from "../../../commands/log/sources.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import { lacks } from "../../site/_site.ts";

async function read(options: Partial<SourceOptions>): Promise<string> {
  let text = "";
  for (const source of findSources({ home: "/nowhere", files: [], ...options })) {
    for await (const chunk of source.open()) text += chunk.toString("latin1");
  }
  return text;
}

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-sources-"));
  try {
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const pack = (program: string) => (text: string) =>
  execFileSync(program, ["-c"], { input: text, stdio: ["pipe", "pipe", "ignore"] });
const PACKERS: Readonly<Record<string, readonly [string, (text: string) => Buffer]>> = {
  gz: ["sh", (text) => gzipSync(text)],
  zst: ["sh", (text) => zstdCompressSync(text)],
  xz: ["xz", pack("xz")],
  bz2: ["bzip2", pack("bzip2")],
};

for (const [ending, [program, packed]] of Object.entries(PACKERS)) {
  const skip = lacks(program);
  const long = "1700000000.0 new msg 1\n".repeat(100_000);

  test(`${ending}: what logrotate and multilog have packed, oldest first`, { skip }, () =>
    inDirectory(async (directory) => {
      writeFileSync(join(directory, `mail.log.2.${ending}`), packed(long));
      writeFileSync(join(directory, `mail.log.10.${ending}`), packed("first\n"));
      writeFileSync(join(directory, "mail.log.1"), "before\n");
      writeFileSync(join(directory, "mail.log"), "now\n");
      writeFileSync(join(directory, "mail.login"), "another's\n");
      const files = [join(directory, "mail.log")];
      assert.equal(await read({ files }), `first\n${long}before\nnow\n`);

      const service = join(directory, "log/send");
      mkdirSync(service, { recursive: true });
      writeFileSync(join(service, `${formatTai64n(1000)}.s.${ending}`), packed("a\n"));
      writeFileSync(join(service, `${formatTai64n(2000)}.u`), "b\n");
      writeFileSync(join(service, "current"), "c\n");
      writeFileSync(join(service, "lock"), "");
      writeFileSync(join(service, "state"), "s\n");
      assert.equal(await read({ home: directory }), "a\nb\nc\n");
      assert.equal(await read({ files: [service] }), "a\nb\nc\n");
    }),
  );

  test(`${ending}: a damaged file is an error that names it`, { skip }, () =>
    inDirectory(async (directory) => {
      const path = join(directory, `mail.log.1.${ending}`);
      writeFileSync(path, packed(long).subarray(0, 60));
      await assert.rejects(read({ files: [path] }), (error: Error) => error.message.includes(path));
    }),
  );
}

test("the journal, through a journalctl that says what it was asked", () =>
  inDirectory(async (directory) => {
    const entries = [
      { MESSAGE: "new msg 5", __REALTIME_TIMESTAMP: "1700000000000000" },
      { MESSAGE: [110, 255], __REALTIME_TIMESTAMP: "1700000001000000" },
      { MESSAGE: null, __REALTIME_TIMESTAMP: "1700000002000000" },
    ];
    const program = join(directory, "journalctl");
    const lines = entries.map((entry) => JSON.stringify(entry)).join("\n");
    writeFileSync(
      program,
      `#!/bin/sh\necho "$@" >${directory}/asked\ncat <<'END'\n${lines}\nEND\n`,
    );
    chmodSync(program, 0o755);
    const path = process.env.PATH;
    process.env.PATH = `${directory}:${path}`;
    try {
      const stamp = (second: number) => formatTai64n((1_700_000_000 + second) * 1000);
      const text = `${stamp(0)} new msg 5\n${stamp(1)} n\xff\n`;
      assert.equal(await read({ journal: "qmail.service" }), text);
      const asked = () => execFileSync("cat", [join(directory, "asked")], { encoding: "utf8" });
      assert.match(asked(), /--unit qmail\.service/);
      assert.equal(await read({ journal: "qmail" }), text);
      assert.match(asked(), /--identifier qmail/);
      writeFileSync(program, "#!/bin/sh\necho no journal >&2; exit 1\n");
      await assert.rejects(read({ journal: "qmail" }), /cannot read the journal/);
    } finally {
      process.env.PATH = path;
    }
  }));

test("the real journalctl understands what it is asked", {
  skip: lacks("journalctl"),
}, async () => {
  // Where there is no journal there are no entries, which is no error of ours.
  const text = await read({ journal: "qmailctl-there-is-none" }).catch((error: Error) => {
    assert.match(error.message, /No journal files|cannot read the journal/);
    assert.doesNotMatch(error.message, /unrecognized|invalid option/i);
    return "";
  });
  assert.equal(text, "");
});

test("a line of the journal with newlines in it stays one", () => {
  const entry = JSON.stringify({ MESSAGE: "a\nb", __REALTIME_TIMESTAMP: "1700000000000000" });
  assert.match(journalLine(entry), /^@[0-9a-f]{24} a\/b\n$/);
});

test("what cannot be read is said by name", async () => {
  await assert.rejects(read({ files: ["/nowhere/x"] }), /cannot read "\/nowhere\/x"/);
  await assert.rejects(read({}), /cannot read the log/);
});
