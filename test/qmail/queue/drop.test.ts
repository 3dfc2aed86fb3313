/** What is taken in from drop, in a process of its own user who plays one of qmail's. */

import assert from "node:assert/strict";
import {
  chmodSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
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

const context = (queue: string) => ({
  queue,
  sync: new GroupSync(),
  made: new MadeClock(),
  now: () => 1_000_000_000,
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
