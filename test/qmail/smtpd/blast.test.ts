import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blast, type BlastState } from "../../../qmail/smtpd/blast.ts";

interface Decoded {
  readonly state: BlastState;
  readonly text: string;
  readonly rest: string;
  readonly hops: number;
}

/** Decodes `input` cut at the positions `cuts`. */
function decode(input: string, cuts: readonly number[] = []): Decoded {
  const blast = new Blast();
  const bytes = Buffer.from(input, "latin1");
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length];
  let text = "";
  let from = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    const result = blast.push(Buffer.from(bytes.subarray(from, end)));
    from = end;
    text += result.data.toString("latin1");
    if (result.state !== "data") {
      const rest = result.rest.toString("latin1") + bytes.toString("latin1", from);
      return { state: result.state, text, rest, hops: blast.hops };
    }
  }
  return { state: "data", text, rest: "", hops: blast.hops };
}

/** What the rules say, told in another way; `input` has an end somewhere. */
function expected(input: string): Pick<Decoded, "state" | "text" | "rest"> {
  const end = `\r\n${input}`.indexOf("\r\n.\r\n");
  const message = input.slice(0, end);
  const stray = /(?<!\r)\n|\r(?!\n)/.test(message);
  if (stray) return { state: "stray-newline", text: "", rest: "" };
  const text = message.replace(/(?<=^|\r\n)\./g, "").replaceAll("\r\n", "\n");
  return { state: "end", text, rest: input.slice(end + 3) };
}

const PIECES = [
  "\r\n",
  "\r",
  "\n",
  ".",
  "\r\n.",
  "..",
  "x",
  "0123456789",
  "\r\n.\r\n",
  "\0",
  "\xff",
];
const anyBytes = fc.array(fc.constantFrom(...PIECES), { maxLength: 25 }).map((all) => all.join(""));
const lines = fc
  .array(fc.constantFrom("", ".", "..", ".x", "line", "Received: x", "a long line of text"))
  .map((all) => all.map((line) => `${line === "." ? ".." : line}\r\n`).join(""));
const cuts = fc.array(fc.nat({ max: 500 }), { maxLength: 30 });

test("Blast decodes the same however the bytes are cut, and never ends early", () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, lines), cuts, (message, where) => {
      const input = `${message}\r\n.\r\nREST`;
      const { state, text, rest, hops } = decode(input, where);
      const want = expected(input);
      assert.equal(state, want.state);
      assert.equal(hops, decode(input).hops);
      if (state === "end") assert.deepEqual({ state, text, rest }, want);
    }),
    { numRuns: 3000 },
  );
});

test("Blast gives back every message that a correct client stuffs", () => {
  const body = fc.array(fc.string({ unit: fc.constantFrom(".", "a", " ", "\0", "\xe9") }));
  fc.assert(
    fc.property(body, cuts, (all, where) => {
      const stuffed = all.map((line) => `${line.replace(/^\./, "..")}\r\n`).join("");
      const { state, text } = decode(`${stuffed}.\r\n`, where);
      assert.equal(state, "end");
      assert.equal(text, all.map((line) => `${line}\n`).join(""));
    }),
  );
});

test("Blast takes a stray newline for no end, whatever dots are around it", () => {
  const newline = fc.constantFrom("\n", "\r", "\r\r\n", "\n\r", "\r\n\n", "\r\r");
  const other = fc.constantFrom("\n", "\r", "\r\n", "\r\r\n");
  fc.assert(
    fc.property(newline, other, cuts, (before, after, where) => {
      for (const input of [`a${before}.${after}b\r\n.\r\n`, `a${after}.${before}b\r\n.\r\n`]) {
        // CR LF . CR LF, the real end, may stand in front of the stray byte.
        if (/^a\r\n\.\r\n/.test(input)) continue;
        assert.equal(decode(input, where).state, "stray-newline");
      }
    }),
  );
});

const testHops = (message: string, hops: number) => {
  test(`Blast counts ${hops} hops in ${JSON.stringify(message)}`, () => {
    const input = `${message}.\r\n`;
    assert.equal(decode(input).hops, hops);
    const everywhere = Array.from(input, (_, at) => at);
    assert.equal(decode(input, everywhere).hops, hops);
  });
};
testHops("Received: x\r\nDelivered-To: y\r\n\r\n", 2);
testHops("RECEIVED: x\r\ndelivered\r\n\r\n", 2);
testHops("Subject: x\r\n\r\nReceived: y\r\n", 0);
testHops("Recei\r\nDeliver: y\r\n Received: folded\r\nX-Received: z\r\n\r\n", 0);
testHops("\r\nReceived: y\r\n", 0);

test("Blast holds back no more than the beginning of a line", () => {
  const blast = new Blast();
  let out = 0;
  for (let n = 0; n < 1000; n++) out += blast.push(Buffer.from("x".repeat(1000))).data.length;
  assert.equal(out, 1_000_000);
});
