/** What leaves for other servers: nothing in a message can be read as its end by whoever reads what for one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BlastEncoder } from "../../../qmail/remote/blast.ts";
import { Blast } from "../../../qmail/smtpd/blast.ts";

/** The bytes sent for a message that comes in `pieces`. */
function encode(...pieces: readonly string[]): string {
  const encoder = new BlastEncoder();
  const sent = pieces.map((piece) => encoder.push(Buffer.from(piece, "latin1")));
  return Buffer.concat([...sent, encoder.end()]).toString("latin1");
}

/** Every end of data that some server somewhere has taken for one: newline, dot, newline. */
const NEWLINES = ["\r\n", "\n", "\r", "\r\r\n", "\n\r"];

for (const before of NEWLINES) {
  for (const after of NEWLINES) {
    const end = `${before}.${after}`;
    test(`${JSON.stringify(end)} in a message does not end it`, () => {
      const sent = encode(`Subject: x\n\nhello${end}MAIL FROM:<evil@b>\n`);
      const text = sent.slice(0, -"\r\n.\r\n".length);
      assert.ok(sent.endsWith("\r\n.\r\n"));
      for (const one of NEWLINES) {
        for (const two of NEWLINES) assert.ok(!text.includes(`${one}.${two}`), sent);
      }
    });
  }
}

const mail = fc
  .array(fc.constantFrom("\r", "\n", ".", "a", "\r\n.\r\n", "\0", "\xff"), { maxLength: 40 })
  .map((parts) => parts.join(""));

test("CR and LF leave in pairs alone, and the one end is ours, however the message is cut", () => {
  fc.assert(
    fc.property(mail, fc.nat(40), (text, cut) => {
      const sent = encode(text.slice(0, cut), text.slice(cut));
      assert.equal(sent, encode(text));
      assert.doesNotMatch(sent, /\r(?!\n)|(?<!\r)\n/);
      const ends = [...`\r\n${sent}`.matchAll(/(?<=\r\n)\.(?=\r\n)/g)];
      assert.equal(ends.length, 1);
    }),
  );
});

test("what we send we take in as it was, with its lines ended by LF", () => {
  fc.assert(
    fc.property(mail, (text) => {
      const { state, data } = new Blast().push(Buffer.from(encode(text), "latin1"));
      const lines = text.replace(/\r\n|\r/g, "\n");
      assert.equal(state, "end");
      assert.equal(
        data.toString("latin1"),
        lines === "" || lines.endsWith("\n") ? lines : `${lines}\n`,
      );
    }),
  );
});
