import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, EndOfInput } from "../../../qmail/net/byte-reader.ts";
import {
  formatNetstring,
  Inside,
  NetstringError,
  parseNetstrings,
  readLength,
  readNetstring,
  readShortNetstring,
} from "../../../qmail/net/netstring.ts";

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function reader(text: string | Buffer, size = 1): ByteReader {
  return new ByteReader(inChunks(Buffer.from(text as string, "latin1"), size));
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

test("what was formatted is read back, in pieces of any size", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(bytes), fc.integer({ min: 1, max: 50 }), async (all, size) => {
      const input = reader(Buffer.concat(all.map(formatNetstring)), size);
      for (const each of all) assert.deepEqual(await readNetstring(input, 300), each);
      assert.ok(await input.ended());
    }),
  );
});

test("a netstring in a netstring", async () => {
  const input = reader(formatNetstring(Buffer.concat([formatNetstring("a"), formatNetstring("")])));
  const inside = new Inside(input, await readLength(input, 100));
  assert.equal(String(await readNetstring(inside, 9)), "a");
  assert.equal(String(await readNetstring(inside, 9)), "");
  assert.equal(inside.left, 0);
  await assert.rejects(readNetstring(inside, 9), { kind: "protocol" });
});

test("what is too long is skipped, or refused before a byte of it is held", async () => {
  const input = reader("5:hello,2:ab,");
  assert.equal(await readShortNetstring(input, 4), null);
  assert.equal(String(await readShortNetstring(input, 4)), "ab");
  await assert.rejects(readNetstring(reader("5:hello,"), 4), { kind: "resources" });
});

const BROKEN = ["x", "5;hello,", "-1:,", " 1:a,", "1a:", "1:ab", "00000000001:a,", "0:x"];

test("many at once", () => {
  fc.assert(
    fc.property(fc.array(bytes), (all) => {
      assert.deepEqual(parseNetstrings(Buffer.concat(all.map(formatNetstring))), all);
    }),
  );
});

test("what is none breaks the protocol", async () => {
  for (const text of BROKEN) {
    assert.throws(() => parseNetstrings(Buffer.from(text)), { kind: "protocol" }, text);
    await assert.rejects(readNetstring(reader(text), 10), { kind: "protocol" }, text);
  }
});

test("any bytes are a netstring, or none, or end too soon", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: fc.constantFrom(..."0123:,ab") }), async (text) => {
      const input = reader(text);
      try {
        const read = await readNetstring(input, 1000);
        assert.ok(read.length <= text.length);
      } catch (error) {
        assert.ok(error instanceof NetstringError || error instanceof EndOfInput);
      }
    }),
  );
});

test("a stream that fails has ended", async () => {
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from("5:he");
    throw new Error("ECONNRESET");
  }
  await assert.rejects(readNetstring(new ByteReader(failing()), 9), EndOfInput);
});
