/** What is taken in from drop, in a process of its own user who plays one of qmail's. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs, {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { crc32 } from "node:zlib";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { type Ids, type QmailUser, sandboxIds } from "../../../qmail/ids.ts";
import { Drops, dropName, formatTrailer } from "../../../qmail/queue/drop.ts";
import { formatEnvelope, parseTodo } from "../../../qmail/queue/envelope.ts";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { type Queued, QueueError } from "../../../qmail/queue/intake.ts";
import { MadeClock } from "../../../qmail/queue/made.ts";
import { makeQueue } from "./_queue.ts";

const [UID, GID] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

/** An installation where we are `user`. */
function as(user: QmailUser | null): Ids {
  const { uid, gid } = sandboxIds(UID + 1, GID);
  return { sandbox: false, uid: user ? { ...uid, [user]: UID } : uid, gid, owner: 0 };
}

function makeDrop(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-drop-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function leave(directory: string): string {
  const message = Buffer.from("Subject: x\n\nbody\n");
  const envelope = formatEnvelope({ sender: "a@from.test", recipients: ["joe@mail.test"] });
  const name = `${dropName()}.msg`;
  const sum = crc32(envelope, crc32(message));
  const trailer = formatTrailer({ size: message.length, envelopeSize: envelope.length, sum });
  writeFileSync(join(directory, name), Buffer.concat([message, envelope, trailer]));
  return name;
}

/** Takes in all of `directory`, `times` times; what came in, and what was said each time. */
async function look(drops: Drops, t: TestContext): Promise<string[]> {
  const said: string[] = [];
  const write = t.mock.method(process.stderr, "write", (text: string) => said.push(text) > 0);
  try {
    let qp = 1;
    await drops.takeAll(() => qp++);
  } finally {
    write.mock.restore();
  }
  return said;
}

const context = (queue: string) => ({
  queue,
  sync: new GroupSync(),
  made: new MadeClock(),
  now: () => 1_000_000_000,
});

/** The same, noting in `announced` what comes in. */
const telling = (queue: string, announced: Queued[]) => ({
  ...context(queue),
  queued: (message: Queued) => void announced.push(message),
});

/** Who owns the file → how the Received line says it. */
const WORDS: readonly (readonly [QmailUser | null, string])[] = [
  ["alias", "by alias"],
  ["qmaild", "from network"],
  ["qmails", "for bounce"],
  ["qmailr", `by uid ${UID}`],
  [null, `by uid ${UID}`],
];

for (const [user, words] of WORDS) {
  test(`the Received line of what ${user ?? "another user"} has queued says "${words}"`, async (t) => {
    using rig = makeQueue();
    const directory = makeDrop(t);
    const announced: Queued[] = [];
    const queued = (message: Queued) => void announced.push(message);
    const drops = new Drops({ ...context(rig.queue), queued }, as(user), directory);
    await drops.take(leave(directory), 77);
    const [message] = announced;
    assert.ok(message);
    assert.equal(
      readFileSync(join(rig.queue, fmtqfn("mess", message.id)), "latin1"),
      `Received: (qmail 77 invoked ${words}); 9 Sep 2001 01:46:40 -0000\nSubject: x\n\nbody\n`,
    );
    assert.equal(parseTodo(message.todo).uid, UID);
    assert.deepEqual(readdirSync(directory), []);
  });
}

test("a file with a second name or another group is not taken: it may be somebody else's", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const refused = (ids: Ids, name: string) =>
    assert.rejects(
      new Drops(context(rig.queue), ids, directory).take(name, 1),
      (error: QueueError) =>
        error instanceof QueueError && /not made by qmail-queue/.test(error.message),
    );
  const twice = leave(directory);
  linkSync(join(directory, twice), join(directory, "other"));
  await refused(as("alias"), twice);
  const strange = leave(directory);
  chmodSync(join(directory, strange), 0o600);
  const ids = as("alias");
  await refused({ ...ids, gid: { ...ids.gid, qmail: GID + 1 } }, strange);
  assert.ok(statSync(join(directory, strange)).isFile());
  assert.deepEqual(rig.files(), []);
});

test("what cannot be taken in goes when it is old, broken or unfinished; what may be whole stays", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const NOW = 1_000_000_000;
  const make = (name: string, hours: number) => {
    const path = join(directory, name);
    writeFileSync(path, "no drop file");
    utimesSync(path, NOW, NOW - hours * 3600);
  };
  for (const ending of ["msg", "tmp"]) {
    make(`1.${ending}`, 37);
    make(`2.${ending}`, 35);
  }
  const drops = new Drops(context(rig.queue), as("alias"), directory);
  await drops.takeAll(() => 1);
  assert.deepEqual(readdirSync(directory).sort(), ["2.msg", "2.tmp"]);
});

/** What a stranger may put under a name in drop, and whether anything of it is to be told. */
const ODDITIES: Readonly<Record<string, (path: string) => void>> = {
  "a link to a file that is not his": (path) => symlinkSync("/etc/passwd", path),
  "a link below a directory that is closed to qmailq": (path) => symlinkSync("/root/x/y", path),
  "a link to nothing": (path) => symlinkSync("/nowhere/at/all", path),
  "a link to itself": (path) => symlinkSync(path, path),
  "a FIFO": (path) => assert.equal(spawnSync("mkfifo", [path]).status, 0),
  "an empty directory": (path) => mkdirSync(path),
  "a directory with something in it": (path) => {
    mkdirSync(path);
    writeFileSync(join(path, "inside"), "");
  },
  "a file that is no message": (path) => writeFileSync(path, "no drop file"),
};

/** Before a good one and behind it, with the names that ours have and with others. */
const PLACES = ["000", "000.msg", "fff", "fff.msg", "000.tmp", '0\n\u001b[2J"', "zzz"];

for (const [what, make] of Object.entries(ODDITIES)) {
  test(`${what} in drop is in nobody's way, and told once`, async (t) => {
    using rig = makeQueue();
    const directory = makeDrop(t);
    const announced: Queued[] = [];
    const ids = as("alias");
    const drops = new Drops(telling(rig.queue, announced), ids, directory);
    for (const name of PLACES) make(join(directory, name));
    const good = leave(directory);
    const said = await look(drops, t);
    assert.equal(announced.length, 1);
    assert.equal(readdirSync(directory).includes(good), false);
    assert.ok(said.length >= 4 && said.length <= PLACES.length, said.join(""));
    for (const line of said) assert.match(line, /^[ -~]*\n$/);
    assert.deepEqual(await look(drops, t), []);
    assert.equal(announced.length, 1);
  });
}

test("names that are no text, in drop, are in nobody's way", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const announced: Queued[] = [];
  const drops = new Drops(telling(rig.queue, announced), as("alias"), directory);
  writeFileSync(Buffer.from(`${directory}/0\xff\xfe.msg`, "latin1"), "x");
  leave(directory);
  const old = Buffer.from(`${directory}/0\xe9`, "latin1");
  writeFileSync(old, "x");
  utimesSync(old, 1, 1);
  await look(drops, t);
  assert.equal(announced.length, 1);
  assert.deepEqual(readdirSync(directory, "latin1"), ["0\xff\xfe.msg"]);
});

test("100,000 names in drop take bounded work, memory and log, and a message among them arrives", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  for (let at = 0; at < 100_000; at++)
    symlinkSync("/root/x", join(directory, `${at.toString(16)}.msg`));
  const announced: Queued[] = [];
  const drops = new Drops(telling(rig.queue, announced), as("alias"), directory);
  leave(directory);
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  const said = await look(drops, t);
  clearInterval(ticking);
  assert.equal(announced.length, 1);
  assert.ok(said.length <= 21, `${said.length} lines`);
  assert.ok(turns > 20, "others had no turn");
});

test("a drop file of a few blocks and a great size is not copied, and not looked at again", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const drops = new Drops(
    { ...context(rig.queue), queued: () => assert.fail("taken in") },
    as("alias"),
    directory,
  );
  const name = `${dropName()}.msg`;
  const SIZE = 3 * 2 ** 30;
  const fd = openSync(join(directory, name), "w");
  const envelope = formatEnvelope({ sender: "a@from.test", recipients: ["joe@mail.test"] });
  ftruncateSync(fd, SIZE);
  writeSync(fd, envelope, 0, envelope.length, SIZE);
  // The sum does not matter: what counts is that nobody reads so much to find out.
  const trailer = formatTrailer({ size: SIZE, envelopeSize: envelope.length, sum: 1 });
  writeSync(fd, trailer, 0, trailer.length, SIZE + envelope.length);
  closeSync(fd);
  if (statSync(join(directory, name)).blocks > 1000) return t.skip("no sparse files here");
  const written = t.mock.method(fs, "writevSync");
  syncBuiltinESMExports();
  t.after(syncBuiltinESMExports);
  const said = await look(drops, t);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /were not written/);
  assert.deepEqual(await look(drops, t), []);
  await assert.rejects(drops.take(name, 3), QueueError);
  assert.equal(written.mock.callCount(), 0);
  written.mock.restore();
  assert.deepEqual(rig.files(), []);
});

test("a file that is broken is read once, not at each look", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const drops = new Drops(context(rig.queue), as("alias"), directory);
  const name = leave(directory);
  const bytes = readFileSync(join(directory, name));
  bytes[0] = 0;
  writeFileSync(join(directory, name), bytes);
  assert.equal((await look(drops, t)).length, 1);
  const read = t.mock.method(fs, "readSync");
  syncBuiltinESMExports();
  t.after(syncBuiltinESMExports);
  assert.deepEqual(await look(drops, t), []);
  assert.equal(read.mock.callCount(), 0);
  read.mock.restore();
});

test("a drop that cannot be removed is in the queue once, and its sender hears of success", async (t) => {
  using rig = makeQueue();
  const directory = makeDrop(t);
  const announced: Queued[] = [];
  const drops = new Drops(telling(rig.queue, announced), as("alias"), directory);
  const name = leave(directory);
  const unlink = fs.unlinkSync;
  const busy = t.mock.method(fs, "unlinkSync", (path: string) => {
    if (String(path).endsWith(name))
      throw Object.assign(new Error("EBUSY: busy"), { code: "EBUSY" });
    unlink(path);
  });
  syncBuiltinESMExports();
  t.after(syncBuiltinESMExports);
  let said = await look(drops, t);
  await drops.take(name, 5);
  // So many others come that it would be forgotten.
  for (let at = 0; at < 1100; at++) await drops.take(leave(directory), at);
  await drops.take(name, 6);
  said = [...said, ...(await look(drops, t))];
  assert.equal(announced.length, 1101);
  assert.equal(said.length, 1, said.join(""));
  busy.mock.restore();
  syncBuiltinESMExports();
  assert.deepEqual(await look(drops, t), []);
  assert.equal(announced.length, 1101);
  assert.deepEqual(readdirSync(directory), []);
});
