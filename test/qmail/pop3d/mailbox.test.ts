/** A Maildir that two sessions have open at once, and one with very many messages. */

import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { Blast } from "../../../qmail/pop3d/blast.ts";
import { Mailbox, type Message, uniqueId } from "../../../qmail/pop3d/mailbox.ts";

function makeMaildir(t: TestContext, names: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-mailbox-"));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const sub of ["new", "cur", "tmp"]) mkdirSync(join(directory, sub));
  for (const [at, name] of names.entries()) {
    writeFileSync(join(directory, name), `message ${at}\n`);
    utimesSync(join(directory, name), 1000 + at, 1000 + at);
  }
  return directory;
}

const left = (directory: string) =>
  ["cur", "new"].flatMap((sub) =>
    readdirSync(join(directory, sub)).map((name) => `${sub}/${name}`),
  );

test("what one session has moved to cur/ the other still reads and removes", (t) => {
  const directory = makeMaildir(t, ["new/1.a", "new/2.b"]);
  const [first, second] = [new Mailbox(directory, 9000), new Mailbox(directory, 9000)];
  assert.ok(first.update());
  const [a, b] = second.messages as [Message, Message];
  closeSync(second.open(a));
  b.deleted = true;
  assert.ok(second.update());
  assert.deepEqual(left(directory), ["cur/1.a:2,"]);
});

test("what both sessions remove is removed once, and neither hears of trouble", (t) => {
  const directory = makeMaildir(t, ["new/1.a"]);
  const both = [new Mailbox(directory, 9000), new Mailbox(directory, 9000)];
  for (const { messages } of both) (messages[0] as Message).deleted = true;
  assert.deepEqual(
    both.map((mailbox) => mailbox.update()),
    [true, true],
  );
  assert.deepEqual(left(directory), []);
  assert.throws(() => both[0]?.open({ path: "new/1.a", size: 0, deleted: false }));
});

test("a message of this second is not shown yet, and what was never delivered is tidied away", (t) => {
  const directory = makeMaildir(t, ["new/1.a", "tmp/old", "new/.hidden"]);
  assert.deepEqual(new Mailbox(directory, 1000).messages, []);
  assert.equal(new Mailbox(directory, 200_000).messages.length, 1);
  assert.deepEqual(readdirSync(join(directory, "tmp")), []);
});

/** The whole message at once, without regard for pieces. */
function plainBlast(text: string): string {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return `${lines.map((line) => `${line.replace(/^\./, "..")}\r\n`).join("")}\r\n.\r\n`;
}

test("Blast says the same however the message is cut", () => {
  const text = fc
    .array(fc.constantFrom("\n", ".", "a", "..\n", "\n\n", "x".repeat(50)))
    .map((all) => all.join(""));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 9 }), (message, size) => {
      const blast = new Blast(null);
      const parts: Buffer[] = [];
      for (let at = 0; at < message.length; at += size) {
        parts.push(Buffer.from(blast.push(Buffer.from(message.slice(at, at + size)))));
      }
      assert.equal(Buffer.concat([...parts, blast.end()]).toString(), plainBlast(message));
    }),
  );
});

test("a name that is no text is a message as any other: read, moved to cur/, removed", (t) => {
  const directory = makeMaildir(t, []);
  const names = ["1.\xff", "2.\xfe", "3.\xc3\xa9"];
  for (const [at, name] of names.entries()) {
    const path = Buffer.from(`${directory}/new/${name}`, "latin1");
    writeFileSync(path, `message ${name}\n`, "latin1");
    utimesSync(path, 1000 + at, 1000 + at);
  }
  const [first, second] = [new Mailbox(directory, 9000), new Mailbox(directory, 9000)];
  assert.deepEqual(
    first.messages.map(({ path }) => path),
    names.map((name) => `new/${name}`),
  );
  assert.ok(first.update());
  // Which the second does not know.
  const [one, , three] = second.messages as [Message, Message, Message];
  const fd = second.open(one);
  assert.equal(readFileSync(fd, "latin1"), "message 1.\xff\n");
  closeSync(fd);
  three.deleted = true;
  assert.ok(second.update());
  assert.deepEqual(readdirSync(join(directory, "cur"), "latin1").sort(), [
    "1.\xff:2,",
    "2.\xfe:2,",
  ]);
});

test("UIDL: 1 to 70 printable characters, another for each name, the same whatever the flags", () => {
  const long = `1234567890.M1P2.${"a".repeat(60)}.example.com`;
  const ids = ["1.host", long, `${long}x`, "1.\xff", "1.\xfe", "1. ", ":2,S", "x".repeat(70)].map(
    (name) => uniqueId({ path: `new/${name}` }),
  );
  for (const id of ids) assert.match(id, /^[!-~]{1,70}$/);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([ids[0], ids.at(-1)], ["1.host", "x".repeat(70)]);
  assert.equal(uniqueId({ path: `cur/${long}:2,RS` }), ids[1]);
});
