import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { list } from "tar";
import { type ExportOptions, queueExport } from "../../../commands/queue/export.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { cannotMount } from "../../site/_mount.ts";
import { run } from "../../site/_site.ts";
import { Captured } from "../_output.ts";

const BODY = "Subject: x\n\nFrom here\n>From there\nodd \xff\0 bytes, no newline at the end";
const BIRTH = 1_700_000_000;

async function exported(rig: SendRig, options: Partial<ExportOptions> & { file: string }) {
  const output = new Captured();
  const rest = { home: rig.home, selection: {}, format: "mbox", output, ...options };
  await queueExport(rest);
  return output.notes;
}

/** A queue with a message that was deferred and one that is new. */
function made(rig: SendRig) {
  const settled = rig.made({
    sender: "a\xe4 b@from.test",
    body: BODY,
    local: ["Djoe", "Tann\n@x"],
    remote: ["Tbob@to.test"],
    bounce: "<x@y>:\nno\n\n",
    birth: BIRTH,
    retry: BIRTH + 900,
  });
  writeFileSync(rig.path("mess", settled), Buffer.from(BODY, "latin1"));
  const fresh = rig.todo("", ["eve@to.test"], "");
  utimesSync(rig.path("todo", fresh), BIRTH + 5, BIRTH + 5);
  return { settled, fresh };
}

test("tar: the files of the queue with their times, the message last, byte for byte", async () => {
  await using rig = new SendRig();
  const { settled, fresh } = made(rig);
  const file = join(rig.home, "out.tar");
  assert.equal(await exported(rig, { format: "tar", file }), "2 messages exported.\n");
  const entries = new Map<string, { bytes: Buffer; mtime: number }>();
  await list({
    file,
    strict: true,
    onReadEntry: (entry) => {
      const chunks: Buffer[] = [];
      entry.on("data", (chunk: Buffer) => chunks.push(chunk));
      entry.on("end", () => {
        const mtime = (entry.mtime?.getTime() ?? 0) / 1000;
        entries.set(entry.path, { bytes: Buffer.concat(chunks), mtime });
      });
    },
  });
  const expected: readonly (readonly [
    "info" | "local" | "remote" | "bounce" | "mess" | "todo",
    string,
  ])[] = [
    ["info", settled],
    ["local", settled],
    ["remote", settled],
    ["bounce", settled],
    ["mess", settled],
    ["todo", fresh],
    ["mess", fresh],
  ];
  assert.deepEqual(
    [...entries.keys()],
    expected.map(([name, id]) => `${name}/${id}`),
  );
  for (const [name, id] of expected) {
    const entry = entries.get(`${name}/${id}`);
    assert.deepEqual(entry?.bytes, readFileSync(rig.path(name, id)), `${name}/${id}`);
  }
  assert.equal(entries.get(`info/${settled}`)?.mtime, BIRTH);
  assert.equal(entries.get(`local/${settled}`)?.mtime, BIRTH + 900);
  assert.equal(entries.get(`todo/${fresh}`)?.mtime, BIRTH + 5);
});

test("mbox: quoted, with the envelope of what is left", async () => {
  await using rig = new SendRig();
  const { settled } = made(rig);
  const file = join(rig.home, "out");
  assert.equal(
    await exported(rig, { file, selection: { id: [settled] } }),
    "1 message exported.\n",
  );
  assert.equal(
    readFileSync(file, "latin1"),
    "From a\xe4-b@from.test Tue Nov 14 22:13:20 2023\n" +
      "X-Envelope-From: <a\xe4 b@from.test>\nX-Envelope-To: <ann_@x>\nX-Envelope-To: <bob@to.test>\n" +
      "Subject: x\n\n>From here\n>>From there\nodd \xff\0 bytes, no newline at the end\n\n",
  );
});

test("eml: a file a message", async () => {
  await using rig = new SendRig();
  const { settled, fresh } = made(rig);
  const file = join(rig.home, "out");
  await exported(rig, { format: "eml", file });
  assert.deepEqual(readdirSync(file).sort(), [`${settled}.eml`, `${fresh}.eml`].sort());
  const text = readFileSync(join(file, `${settled}.eml`), "latin1");
  assert.ok(text.endsWith(`<bob@to.test>\n${BODY}`), text);
  const other = readFileSync(join(file, `${fresh}.eml`), "latin1");
  assert.equal(other, "X-Envelope-From: <>\nX-Envelope-To: <eve@to.test>\n");
});

test("nothing is overwritten", async () => {
  await using rig = new SendRig();
  const { settled } = made(rig);
  const file = join(rig.home, "out");
  await exported(rig, { file });
  await assert.rejects(exported(rig, { file }), {
    message: /cannot write ".*": file already exists/,
  });
  const nowhere = join(rig.home, "nowhere/out");
  await assert.rejects(exported(rig, { file: nowhere }), /cannot write ".*": file does not exist/);
  // Odd things in the queue are passed over; each message that was written is whole.
  rmSync(rig.path("mess", settled));
  mkdirSync(rig.path("mess", settled));
  const rest = join(rig.home, "rest");
  const code = process.exitCode;
  await exported(rig, { file: rest });
  assert.equal(process.exitCode, 111, "it is not whole");
  process.exitCode = code;
  assert.equal(existsSync(rest), true);
});

test("what was not finished does not stay", { skip: cannotMount() }, async () => {
  await using rig = new SendRig();
  rig.made({ sender: "a@from.test", body: "x".repeat(300_000), remote: ["Tb@to.test"] });
  const small = join(rig.home, "small");
  mkdirSync(small);
  await run("mount", ["-t", "tmpfs", "-o", "size=100k", "tmpfs", small]);
  try {
    await assert.rejects(
      exported(rig, { file: join(small, "half") }),
      /cannot write ".*": out of disk space/,
    );
    assert.equal(existsSync(join(small, "half")), false);
  } finally {
    await run("umount", [small]);
  }
});

test("what makes no sense is said", async () => {
  await using rig = new SendRig();
  await assert.rejects(exported(rig, { file: "x", format: "zip" }), { code: 100 });
  const output = new Captured({ json: true });
  const options = { home: rig.home, selection: {}, output, file: null };
  await assert.rejects(queueExport({ ...options, format: "eml" }), { code: 100 });
  await assert.rejects(queueExport({ ...options, format: "mbox" }), { code: 100 });
});
