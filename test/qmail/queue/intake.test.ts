import assert from "node:assert/strict";
import { chmodSync, readFileSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { Entering } from "../../../qmail/queue/entering.ts";
import { formatEnvelope } from "../../../qmail/queue/envelope.ts";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { Intake, type IntakeContext, QueueError } from "../../../qmail/queue/intake.ts";
import { MadeClock, madeOf } from "../../../qmail/queue/made.ts";
import { makeQueue } from "./_queue.ts";

const source = { uid: 7, how: "from network" };
const envelope = formatEnvelope({ sender: "a@b", recipients: ["c@d"] });

function context(queue: string, more: Partial<IntakeContext> = {}): IntakeContext {
  const made = new MadeClock();
  return { queue, sync: new GroupSync(), made, now: () => 1_000_000_000, ...more };
}

function isCode(code: number) {
  return (error: unknown) => error instanceof QueueError && error.code === code;
}

/** Holds the sync of `directory` back; `hold` resolves when it is asked for, with what lets it go on. */
function heldBack(directory = "todo") {
  const held = Promise.withResolvers<() => void>();
  const sync = new GroupSync();
  sync.sync = (path) => {
    if (!String(path).includes(`/${directory}`)) return Promise.resolve();
    return new Promise((resolve) => held.resolve(resolve));
  };
  return { sync, hold: held.promise };
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

test("as long as a message is on its way its number is its own, whatever becomes of its names", async () => {
  using made = makeQueue();
  const entering = new Entering();
  const { sync, hold } = heldBack();
  const told: string[] = [];
  const shared = context(made.queue, { entering, sync, queued: ({ id }) => told.push(id) });
  const first = new Intake(shared, source, 1);
  const committed = first.commit(envelope);
  const release = await hold;
  const [id = ""] = made.files().map((name) => name.split("/").at(-1));
  assert.equal(entering.of(id), first);
  assert.equal(first.linked, true);
  // As a qmail-send that has found it in todo would have it removed.
  for (const name of made.files()) unlinkSync(join(made.queue, name));
  for (let count = 0; count < 100; count++) {
    const other = new Intake(context(made.queue), source, 2 + count);
    const { id: number } = await other.commit(envelope);
    assert.notEqual(number, id);
    for (const name of made.files()) unlinkSync(join(made.queue, name));
  }
  let over = false;
  void first.over.then(() => {
    over = true;
  });
  release();
  await committed;
  // Told before anybody else may touch the number.
  assert.deepEqual([told, over, entering.of(id)], [[id], true, undefined]);
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

test("every message has a MADE of its own, kept by its mess file", async () => {
  using made = makeQueue();
  const shared = context(made.queue, { made: new MadeClock(() => 1_700_000_000_000) });
  const seen = new Set<number>();
  for (let count = 0; count < 300; count++) {
    const { id, made: time } = await new Intake(shared, source, count).commit(envelope);
    const mess = join(made.queue, fmtqfn("mess", id));
    assert.equal(madeOf(statSync(mess)), time);
    seen.add(time);
    for (const name of made.files()) unlinkSync(join(made.queue, name));
  }
  assert.equal(seen.size, 300);
});

test("a number that todo knows of without its message is not used", async () => {
  using made = makeQueue();
  const probe = await new Intake(context(made.queue), source, 1).commit(envelope);
  unlinkSync(join(made.queue, `intd/${probe.id}`));
  unlinkSync(join(made.queue, fmtqfn("mess", probe.id)));
  // On this filesystem the next file gets the number again.
  writeFileSync(join(made.queue, "pid/probe"), "");
  const again = String(statSync(join(made.queue, "pid/probe")).ino) === probe.id;
  unlinkSync(join(made.queue, "pid/probe"));
  for (let count = 0; count < 12; count++) {
    const { id } = await new Intake(context(made.queue), source, 2).commit(envelope);
    if (again) assert.notEqual(id, probe.id);
  }
  assert.equal(
    readFileSync(join(made.queue, `todo/${probe.id}`), "latin1"),
    "u7\0p1\0Fa@b\0Tc@d\0",
  );
});

test("one file that cannot be synced does not close the other under the disk's hands", async () => {
  using made = makeQueue();
  const sync = new GroupSync();
  let failLate = () => {};
  const late = new Promise<void>((_, reject) => {
    failLate = () => reject(new Error("EIO"));
  });
  sync.sync = () => late;
  const shared = context(made.queue, { sync, fsyncCarriesName: false });
  const intake = new Intake(shared, source, 1);
  const committed = intake.commit(envelope);
  let ended = false;
  committed.catch(() => {
    ended = true;
  });
  await new Promise(setImmediate);
  assert.equal(ended, false);
  failLate();
  await assert.rejects(committed, isCode(53));
  assert.deepEqual(made.files(), []);
});

test("given up while the disk is waited for: its names go, and it is not queued", async () => {
  using made = makeQueue();
  const entering = new Entering();
  const { sync, hold } = heldBack("mess");
  const intake = new Intake(context(made.queue, { sync, entering }), source, 1);
  const committed = intake.commit(envelope);
  const release = await hold;
  entering.abort();
  assert.deepEqual(made.files(), []);
  release();
  await assert.rejects(committed, isCode(54));
  assert.deepEqual(made.files(), []);
});

test("a message that took more than a day is refused, by a clock that nobody sets", async () => {
  using made = makeQueue();
  let elapsed = 0;
  let now = 1_000_000_000;
  const shared = context(made.queue, { now: () => now, elapsed: () => elapsed });
  const slow = new Intake(shared, source, 1);
  slow.put(Buffer.from("x"));
  elapsed = 86_401_000;
  await assert.rejects(slow.commit(envelope), isCode(52));
  assert.deepEqual(made.files(), []);
  const intake = new Intake(shared, source, 1);
  now += 40 * 3600;
  assert.ok((await intake.commit(envelope)).id);
});

/** todo/ cannot be synced → what stays, as qmail-send knows of the message or not, or nobody can say. */
for (const [what, retract, stays] of [
  ["it is taken back", () => Promise.resolve(true), []],
  [
    "and qmail-send has found it, it stays its",
    () => Promise.resolve(false),
    ["intd", "mess", "todo"],
  ],
  ["and nobody can say, it is garbage", undefined, ["intd", "mess"]],
] as const) {
  test(`when todo cannot be synced ${what}`, async () => {
    using made = makeQueue();
    const sync = new GroupSync();
    sync.sync = (directory) =>
      String(directory).endsWith("/todo") ? Promise.reject(new Error("EIO")) : Promise.resolve();
    const asked: string[][] = [];
    const shared = context(made.queue, {
      sync,
      queued: () => assert.fail("it was announced"),
      ...(retract && {
        retract: () => {
          // Nobody can find it in todo any more while this is asked.
          asked.push(made.files().map((name) => name.split("/")[0] as string));
          return retract();
        },
      }),
    });
    const intake = new Intake(shared, source, 1);
    intake.put(Buffer.from("x"));
    await assert.rejects(intake.commit(envelope), isCode(66));
    const directories = made.files().map((name) => name.split("/")[0]);
    assert.deepEqual(directories, stays);
    if (retract) assert.deepEqual(asked, [["intd", "mess"]]);
  });
}

test("a queue that may not be written", {
  skip: process.getuid?.() === 0 && "root may",
}, async () => {
  using made = makeQueue();
  chmodSync(join(made.queue, "pid"), 0o500);
  const intake = new Intake(context(made.queue), source, 1);
  await assert.rejects(intake.commit(envelope), isCode(63));
});
