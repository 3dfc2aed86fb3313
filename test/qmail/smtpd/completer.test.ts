import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HeaderCompleter } from "../../../qmail/smtpd/completer.ts";

const fields = { date: "Date: D\n", "message-id": "Message-ID: <M>\n" };

function complete(text: string, cuts: readonly number[] = []): string {
  const completer = new HeaderCompleter({ fields });
  const ends = [...cuts].sort((a, b) => a - b).map((cut) => Math.min(cut, text.length));
  let out = "";
  let at = 0;
  for (const end of [...ends, text.length]) {
    out += completer.push(Buffer.from(text.slice(at, end), "latin1")).toString("latin1");
    at = end;
  }
  return out + completer.end().toString("latin1");
}

const D = "Date: D\n";
const M = "Message-ID: <M>\n";
const LONG = "x".repeat(100);

for (const [name, text, expected] of [
  ["adds both at the end of the header", "From: a\n\nhi\n", `From: a\n${D}${M}\nhi\n`],
  ["adds one", "dAte: today\n\nhi\n", `dAte: today\n${M}\nhi\n`],
  ["adds none", "Date: x\nMessage-Id : <y>\n\n", "Date: x\nMessage-Id : <y>\n\n"],
  ["completes a message without body", "From: a\n", `From: a\n${D}${M}`],
  ["completes an empty message", "", `${D}${M}`],
  ["completes a body without header", "\nhi\n", `${D}${M}\nhi\n`],
  ["gives text a header", "hello you\nDate: no\n", `${D}${M}\nhello you\nDate: no\n`],
  [
    "takes a long first word for the name of a field",
    `${LONG} ${LONG}\n`,
    `${LONG} ${LONG}\n${D}${M}`,
  ],
  ["ends a last line", "From: a", `From: a\n${D}${M}`],
  ["does not look into the body", "From: a\n\nDate: b\n", `From: a\n${D}${M}\nDate: b\n`],
  ["does not take folded lines for fields", "To: a\n Date: b\n\n", `To: a\n Date: b\n${D}${M}\n`],
  ["passes long fields", `To: ${LONG}\n\n`, `To: ${LONG}\n${D}${M}\n`],
] as const) {
  test(`HeaderCompleter ${name}`, () => assert.equal(complete(text), expected));
}

test("HeaderCompleter does the same however the bytes are cut", () => {
  const line = fc.constantFrom(
    "Date: x\n",
    "\n",
    "To: y\n",
    ` ${LONG}\n`,
    `X: ${LONG}\n`,
    "hi\n",
    "é",
  );
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat({ max: 400 })), (lines, cuts) => {
      assert.equal(complete(lines.join(""), cuts), complete(lines.join("")));
    }),
  );
});
