import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EndlessReplyError,
  parseExtensions,
  ReplyReader,
  severity,
} from "../../../qmail/remote/reply.ts";

test("replies are the same in whatever pieces they come", () => {
  const text = "220 hi\r\n250-a\r\n250-b\r\n250 c\r\n250\n354 go\r\n";
  const expected = new ReplyReader().push(Buffer.from(text));
  assert.deepEqual(
    expected.map(({ code }) => code),
    [220, 250, 250, 354],
  );
  assert.equal(expected[1]?.text, "250-a\n250-b\n250 c\n");
  fc.assert(
    fc.property(fc.array(fc.nat(text.length)), (cuts) => {
      const reader = new ReplyReader();
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      const pieces = at.slice(1).map((end, index) => text.slice(at[index], end));
      assert.deepEqual(
        pieces.flatMap((piece) => reader.push(Buffer.from(piece))),
        expected,
      );
      assert.equal(reader.pending, false);
    }),
  );
});

test("what is no reply is passed over, or belongs to the one under way", () => {
  for (const line of ["hello", "", "25", "2500 x", "-", "SSH-2.0", " 250 x"]) {
    const strays: string[] = [];
    const reader = new ReplyReader((stray) => strays.push(stray));
    assert.deepEqual(reader.push(Buffer.from(`${line}\r\n`)), []);
    assert.equal(reader.pending, false);
    assert.equal(reader.unfinished, `${line}\n`);
    assert.deepEqual(reader.push(Buffer.from(`220-a\r\n${line}\r\n220 b\r\n`)), [
      { code: 220, text: `220-a\n${line}\n220 b\n` },
    ]);
    assert.equal(reader.unfinished, "");
    assert.deepEqual(strays, [line]);
  }
  assert.deepEqual(new ReplyReader().push(Buffer.from("999 x\r\n")), [
    { code: 0, text: "999 x\n" },
  ]);
});

test("what has no end is known when it is a refusal", () => {
  const reader = new ReplyReader();
  reader.push(Buffer.from("554-blocked\r\n554-by a"));
  assert.equal(reader.unfinished, "554-blocked\n");
  const fine = new ReplyReader();
  fine.push(Buffer.from("220-hello\r\n"));
  assert.equal(fine.unfinished, "");
});

test("any bytes are read or refused, within bounds", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      const reader = new ReplyReader();
      for (const piece of pieces) reader.push(Buffer.from(piece));
    }),
  );
  for (const text of [`${"x".repeat(100)}\r\n`.repeat(20_000), "x".repeat(2 << 20)]) {
    assert.throws(() => new ReplyReader().push(Buffer.from(text)), EndlessReplyError);
  }
  const reader = new ReplyReader();
  const line = Buffer.from(`250-${"x".repeat(1000)}\r\n`);
  assert.throws(() => {
    for (let count = 0; count < 2000; count++) reader.push(line);
  }, EndlessReplyError);
});

test("severity()", () => {
  const of = (code: number) => severity({ code, text: "" });
  assert.deepEqual([0, 199, 200, 354, 399, 400, 499, 500, 599].map(of), [
    "Z",
    "Z",
    null,
    "D",
    "D",
    "Z",
    "Z",
    "D",
    "D",
  ]);
});

test("parseExtensions()", () => {
  const text =
    "250-far.test hello\nNO SPAM\n250-SIZE 1000\n250-Auth=LOGIN\n250-auth PLAIN\n250 PIPELINING\n";
  assert.deepEqual(
    [...parseExtensions({ code: 250, text })],
    [
      ["SIZE", "1000"],
      ["AUTH", "LOGIN PLAIN"],
      ["PIPELINING", ""],
    ],
  );
});
