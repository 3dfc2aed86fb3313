import assert from "node:assert/strict";
import { chmodSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { formatEnvelope } from "../../../qmail/queue/envelope.ts";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { Intake, type IntakeContext, QueueError } from "../../../qmail/queue/intake.ts";
import { Spares } from "../../../qmail/queue/spares.ts";
import { makeQueue } from "./_queue.ts";

const source = { uid: 7, how: "from network" };
const envelope = formatEnvelope({ sender: "a@b", recipients: ["c@d"] });

function context(queue: string, more: Partial<IntakeContext> = {}): IntakeContext {
  return { queue, sync: new GroupSync(), now: () => 1_000_000_000, ...more };
}

function isCode(code: number) {
  return (error: unknown) => error instanceof QueueError && error.code === code;
}

test("a message goes to mess, intd and todo with qmail's bytes", async () => {
  using made = makeQueue();
  const intake = new Intake(context(made.queue), source, 42);
  intake.put(Buffer.from("Subject: x\n\n"));
  intake.put(Buffer.from("body\n"));
  const { id, size } = await intake.commit(envelope);
  assert.deepEqual(made.files(), [`intd/${id}`, fmtqfn("mess", id), `todo/${id}`].sort());
  const mess = join(made.queue, fmtqfn("mess", id));
  const text = readFileSync(mess, "latin1");
  assert.equal(
    text,
    "Received: (qmail 42 invoked from network); 9 Sep 2001 01:46:40 -0000\nSubject: x\n\nbody\n",
  );
  assert.equal(size, text.length);
  assert.equal(String(statSync(mess, { bigint: true }).ino), id);
  assert.equal(readFileSync(join(made.queue, `todo/${id}`), "latin1"), "u7\0p42\0Fa@b\0Tc@d\0");
  assert.equal(
    statSync(join(made.queue, `todo/${id}`)).ino,
    statSync(join(made.queue, `intd/${id}`)).ino,
  );
});

test("a long message is written as it comes, and is whole", async () => {
  using made = makeQueue();
  const intake = new Intake(context(made.queue), source, 1);
  const piece = Buffer.from("0123456789abcdef".repeat(4096));
  for (let at = 0; at < 20; at++) intake.put(piece);
  const { id } = await intake.commit(envelope);
  const bytes = readFileSync(join(made.queue, fmtqfn("mess", id)));
  assert.ok(bytes.subarray(bytes.indexOf(10) + 1).equals(Buffer.concat(Array(20).fill(piece))));
});

test("a message in very many pieces is whole", async () => {
  using made = makeQueue();
  const intake = new Intake(context(made.queue), source, 1);
  for (let at = 0; at < 3000; at++) intake.put(Buffer.from(`${at % 10}`));
  const { id } = await intake.commit(envelope);
  const text = readFileSync(join(made.queue, fmtqfn("mess", id)), "latin1");
  assert.equal(text.slice(text.indexOf("\n") + 1), "0123456789".repeat(300));
});

test("a message given up leaves nothing, small or long", async () => {
  using made = makeQueue();
  for (const size of [10, 200_000]) {
    const intake = new Intake(context(made.queue), source, size);
    intake.put(Buffer.alloc(size, "x"));
    intake.abort();
    assert.deepEqual(made.files(), []);
    await assert.rejects(intake.commit(envelope), isCode(54));
  }
});

/** What is wrong with the envelope → qmail-queue's exit code. */
for (const [bytes, code] of [
  ["", 54],
  ["Fa\0Tb\0", 54],
  ["Xa\0\0", 91],
  [`Fa\0T${"x".repeat(1003)}\0\0`, 11],
] as const) {
  test(`an envelope that is refused with ${code} leaves nothing`, async () => {
    using made = makeQueue();
    const intake = new Intake(context(made.queue), source, 1);
    intake.put(Buffer.from("x"));
    await assert.rejects(intake.commit(Buffer.from(bytes, "latin1")), isCode(code));
    assert.deepEqual(made.files(), []);
  });
}

/** A directory that is missing → exit code. */
for (const [directory, code] of [
  ["pid", 63],
  ["intd", 65],
  ["todo", 66],
] as const) {
  test(`without ${directory}/ the code is ${code}, and nothing is left`, async () => {
    using made = makeQueue();
    rmdirSync(join(made.queue, directory));
    const intake = new Intake(context(made.queue), source, 1);
    intake.put(Buffer.from("x"));
    await assert.rejects(intake.commit(envelope), isCode(code));
    assert.deepEqual(made.files(), []);
  });
}

test("a file in intd that a crash left is in nobody's way", async () => {
  using made = makeQueue();
  const intake = new Intake(context(made.queue), source, 1);
  // Long enough to have its name in mess before its envelope comes.
  intake.put(Buffer.alloc(100_000, "x"));
  const id = made.files()[0]?.split("/").at(-1) as string;
  writeFileSync(join(made.queue, `intd/${id}`), "old");
  await intake.commit(envelope);
  assert.equal(readFileSync(join(made.queue, `todo/${id}`), "latin1"), "u7\0p1\0Fa@b\0Tc@d\0");
});

test("a message that was seen in todo and removed before it is announced is told to be gone", async () => {
  using made = makeQueue();
  const entering = new Set<string>();
  const sync = new GroupSync();
  sync.sync = (directory) => {
    if (String(directory).endsWith("/todo")) entering.clear();
    return Promise.resolve();
  };
  const gone = async (more: Partial<IntakeContext>) => {
    return (await new Intake(context(made.queue, more), source, 1).commit(envelope)).gone;
  };
  assert.equal(await gone({ entering, sync }), true);
  assert.equal(await gone({ entering }), false);
  assert.equal(entering.size, 0);
});

test("an address with a control character is refused for good, whoever brings it; a bounce goes where its message came from", async () => {
  using made = makeQueue();
  const bytes = formatEnvelope({ sender: "", recipients: ["v\nRSET\n@inj.example"] });
  for (const how of ["from network", "by alias", "by uid 1000"]) {
    const intake = new Intake(context(made.queue), { uid: 7, how }, 1);
    await assert.rejects(intake.commit(bytes), isCode(31));
    assert.deepEqual(made.files(), []);
  }
  const bounce = new Intake(context(made.queue), { uid: 7, how: "for bounce", bounce: true }, 1);
  const { todo } = await bounce.commit(bytes);
  assert.equal(todo.toString("latin1"), "u7\0p1\0F\0Tv\nRSET\n@inj.example\0");
});

test("a message that took more than a day is refused", async () => {
  using made = makeQueue();
  let now = 0;
  const intake = new Intake(context(made.queue, { now: () => now }), source, 1);
  intake.put(Buffer.from("x"));
  now = 86_401;
  await assert.rejects(intake.commit(envelope), isCode(52));
  assert.deepEqual(made.files(), []);
});

test("when todo cannot be synced the message is taken back", async () => {
  using made = makeQueue();
  const sync = new GroupSync();
  sync.sync = (directory) =>
    String(directory).endsWith("/todo") ? Promise.reject(new Error("EIO")) : Promise.resolve();
  const intake = new Intake(context(made.queue, { sync }), source, 1);
  intake.put(Buffer.from("x"));
  await assert.rejects(intake.commit(envelope), isCode(66));
  assert.deepEqual(made.files(), []);
});

test("a spare is written over only after a sync of todo that covers its removal", async () => {
  using made = makeQueue();
  const spares = new Spares(made.queue, () => 0);
  const shared = context(made.queue, { spares });
  const enter = async (body: string, qp: number) => {
    const intake = new Intake(shared, source, qp);
    intake.put(Buffer.from(body));
    return intake.commit(envelope);
  };
  const first = await enter("a long first message\n", 1);
  const { unlinkSync } = await import("node:fs");
  unlinkSync(join(made.queue, `todo/${first.id}`));
  spares.offer({ id: first.id, made: 0 });
  // Its removal is not durable yet: the second message gets files of its own.
  const second = await enter("second\n", 2);
  assert.notEqual(second.id, first.id);
  // The sync for the second covered it.
  const third = await enter("3\n", 3);
  assert.equal(third.id, first.id);
  const text = readFileSync(join(made.queue, fmtqfn("mess", third.id)), "latin1");
  assert.match(text, /^Received: \(qmail 3 invoked from network\); .*\n3\n$/);
  spares.clear();
  assert.equal(made.files().length, 6);
});

test("spares are removed when cleared, too many, or too old", () => {
  using made = makeQueue();
  let now = 0;
  const spares = new Spares(made.queue, () => now);
  now = 13 * 3600 * 1000;
  spares.offer({ id: "5", made: 0 });
  assert.deepEqual(spares.covered(), []);
  for (let at = 1; at <= 150; at++) spares.offer({ id: String(at), made: now });
  assert.equal(spares.covered().length, 100);
  spares.clear();
  assert.equal(spares.take(), undefined);
});

test("a queue that may not be written", {
  skip: process.getuid?.() === 0 && "root may",
}, async () => {
  using made = makeQueue();
  chmodSync(join(made.queue, "pid"), 0o500);
  const intake = new Intake(context(made.queue), source, 1);
  await assert.rejects(intake.commit(envelope), isCode(63));
});
