/** The bytes of the queue: names, envelopes, frames' payloads. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatTrailer, parseTrailer } from "../../../qmail/queue/drop.ts";
import {
  EnvelopeError,
  endsEnvelope,
  formatEnvelope,
  formatTodo,
  isAddress,
  parseAnyEnvelope,
  parseEnvelope,
  parseTodo,
  RECIPIENTS_MAX,
} from "../../../qmail/queue/envelope.ts";
import { fmtqfn, isMessId, messIdOf, splitOf } from "../../../qmail/queue/fmtqfn.ts";
import {
  formatFresh,
  formatName,
  formatResult,
  parseFresh,
  parseName,
  parseResult,
} from "../../../qmail/queue/protocol.ts";
import { queueFailure } from "../../../qmail/queue/qmail.ts";

const byte = fc
  .integer({ min: 32, max: 255 })
  .filter((code) => code !== 127)
  .map((code) => String.fromCharCode(code));
const address = fc.string({ unit: byte, maxLength: 100 });
const envelope = fc.record(
  { sender: address, recipients: fc.array(address, { maxLength: 20 }) },
  { noNullPrototype: true },
);

test("an envelope can be read back", () => {
  fc.assert(
    fc.property(envelope, (each) => assert.deepEqual(parseEnvelope(formatEnvelope(each)), each)),
  );
  assert.equal(
    formatEnvelope({ sender: "a@b", recipients: ["c@d", "e"] }).toString("latin1"),
    "Fa@b\0Tc@d\0Te\0\0",
  );
});

test("a todo file can be read back", () => {
  fc.assert(
    fc.property(envelope, fc.nat(), fc.nat(), (each, uid, pid) => {
      assert.deepEqual(parseTodo(formatTodo({ ...each, uid, pid })), { ...each, uid, pid });
    }),
  );
  const todo = formatTodo({ uid: 7, pid: 9, sender: "", recipients: ["x@y"] });
  assert.equal(todo.toString("latin1"), "u7\0p9\0F\0Tx@y\0");
});

test("an inode number of 64 bits is an id, also where Node has it as a negative number", () => {
  const ino = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(ino, (number) => {
      const id = messIdOf(BigInt.asIntN(64, number));
      assert.equal(id, String(number));
      assert.ok(isMessId(id));
      assert.equal(BigInt(splitOf(id)), number % 23n);
    }),
  );
});

/** Bytes that are no envelope → the reason. */
const BAD: readonly (readonly [string, EnvelopeError["reason"]])[] = [
  ["", "end"],
  ["F\0", "end"],
  ["Fa@b\0Tc@d\0", "end"],
  ["Fa@b\0Tc@d", "end"],
  ["Ta@b\0\0", "format"],
  ["Fa\0Xb\0\0", "format"],
  ["\0", "format"],
  [`F${"x".repeat(1003)}\0\0`, "address"],
  [`Fa\0T${"x".repeat(1003)}\0\0`, "address"],
  [`Fa\0T${"x".repeat(1003)}`, "address"],
  ["Fv\nRSET\n@inj.example\0Ta\0\0", "control"],
  ["Fa\0Tb\0Tc\r@d\0\0", "control"],
];

test("no control character is in an address of an envelope, but for a bounce", () => {
  for (let code = 0; code < 256; code++) {
    const sender = `"x${String.fromCharCode(code)}"@y`;
    const bytes = formatEnvelope({ sender: "", recipients: [sender] });
    const bad = code < 32 || code === 127;
    assert.equal(isAddress(sender), !bad);
    if (code === 0) continue;
    if (bad) assert.throws(() => parseEnvelope(bytes), /control character/);
    else assert.deepEqual(parseEnvelope(bytes), { sender: "", recipients: [sender] });
    assert.deepEqual(parseAnyEnvelope(bytes), { sender: "", recipients: [sender] });
  }
});

test("what follows the end of an envelope does not count", () => {
  const parsed = parseEnvelope(Buffer.from("Fa\0Tb\0\0x", "latin1"));
  assert.deepEqual(parsed, { sender: "a", recipients: ["b"] });
});

test("endsEnvelope() sees the end, wherever the pieces are cut", () => {
  fc.assert(
    fc.property(envelope, fc.nat(), (each, cut) => {
      const bytes = formatEnvelope(each);
      const at = cut % (bytes.length + 1);
      const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
      assert.equal(endsEnvelope(undefined, head), at === bytes.length);
      if (at < bytes.length) assert.ok(endsEnvelope(head.at(-1), tail));
    }),
  );
});

for (const [bytes, reason] of BAD) {
  test(`parseEnvelope() refuses ${JSON.stringify(bytes.slice(0, 20))}`, () => {
    assert.throws(
      () => parseEnvelope(Buffer.from(bytes, "latin1")),
      (error) => error instanceof EnvelopeError && error.reason === reason,
    );
  });
}

test("arbitrary bytes never do more than be refused", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      for (const parse of [parseEnvelope, parseTodo]) {
        try {
          parse(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof EnvelopeError);
        }
      }
    }),
  );
});

test("file names, also of inode numbers beyond what a number holds", () => {
  assert.equal(fmtqfn("mess", "12345"), `mess/${12345 % 23}/12345`);
  assert.equal(fmtqfn("todo", "12345"), "todo/12345");
  assert.equal(splitOf("18446744073709551615"), Number(18446744073709551615n % 23n));
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (ino) => {
      assert.equal(splitOf(String(ino)), Number(ino % 23n));
      assert.ok(isMessId(String(ino)));
    }),
  );
  for (const name of [
    "",
    "0",
    "01",
    "1a",
    "-1",
    ".",
    "123456789012345678901",
    "18446744073709551616",
  ]) {
    assert.ok(!isMessId(name), name);
  }
});

test("payloads can be read back", () => {
  assert.deepEqual(parseResult(formatResult(53, 4_000_000_000, "text")), {
    code: 53,
    qp: 4_000_000_000,
    text: "text",
  });
  const todo = Buffer.from("u1\0p2\0Fa\0Tb\0", "latin1");
  const name = { id: "18446744073709551615", made: 1_764_400_000_123_456 };
  const fresh = { ...name, size: 99, todo };
  assert.deepEqual(parseFresh(formatFresh(fresh)), fresh);
  assert.deepEqual(parseName(Buffer.from(formatName(name))), name);
  for (const words of [
    [],
    ["7"],
    ["7", ""],
    ["7", "x"],
    ["7", "-1"],
    ["../7", "1"],
    ["7", "1", "x"],
  ]) {
    assert.equal(parseName(Buffer.from(words.join("\0"))), null, String(words));
    assert.equal(parseFresh(Buffer.from(`${words.join("\0")}\0`)), null, String(words));
  }
  const trailer = { size: 2 ** 40, envelopeSize: 17, sum: 0xfedcba98 };
  assert.deepEqual(parseTrailer(formatTrailer(trailer)), trailer);
  assert.equal(parseTrailer(Buffer.from("something of another length")), null);
});

test("exit codes of qmail-queue become what C qmail says of them", () => {
  const cases = [
    [11, true, "envelope address too long for qq (#5.1.3)"],
    [31, true, "mail server permanently rejected message (#5.3.0)"],
    [35, true, "qq permanent problem (#5.3.0)"],
    [53, false, "qq write error or disk full (#4.3.0)"],
    [81, false, "qq internal bug (#4.3.0)"],
    [99, false, "qq temporary problem (#4.3.0)"],
  ] as const;
  for (const [code, permanent, text] of cases) {
    assert.deepEqual(queueFailure(code), { ok: false, code, permanent, text });
  }
  const custom = queueFailure(82, "Dspam is not welcome");
  assert.deepEqual([custom.permanent, custom.text], [true, "spam is not welcome"]);
  assert.equal(queueFailure(82, "x").text, "qq temporary problem (#4.3.0)");
});

test("recipients that nobody could have in memory at once are refused", () => {
  const envelope = (count: number) =>
    Buffer.concat([Buffer.from("F\0"), Buffer.alloc(3 * count, "Tx\0"), Buffer.from("\0")]);
  assert.equal(parseEnvelope(envelope(RECIPIENTS_MAX)).recipients.length, RECIPIENTS_MAX);
  assert.throws(
    () => parseEnvelope(envelope(RECIPIENTS_MAX + 1)),
    (error) => error instanceof EnvelopeError && error.reason === "many",
  );
});
