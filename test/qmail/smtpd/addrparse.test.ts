import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  parseAddress,
  parseParameters,
  replaceOwnAddress,
} from "../../../qmail/smtpd/addrparse.ts";

const testAddress = (argument: string, address: string | null, rest = "") => {
  test(`parseAddress() reads ${JSON.stringify(argument)}`, () => {
    assert.deepEqual(parseAddress(argument), address === null ? null : { address, rest });
  });
};
testAddress("FROM:<a@b>", "a@b");
testAddress("from: <a@b>", "a@b");
testAddress("<a@b>", "a@b");
testAddress("FROM:<>", "");
testAddress("FROM:a@b", "a@b");
testAddress("FROM:   a@b SIZE=1", "a@b", "SIZE=1");
testAddress("FROM:<a@b> SIZE=1", "a@b", " SIZE=1");
testAddress("FROM:<@x,@y:a@b>", "a@b");
testAddress("FROM:@x:a@b", "a@b");
testAddress("FROM:<@x>", "");
testAddress('FROM:<"a b"@c>', "a b@c");
testAddress('FROM:<"a>b"@c>', "a>b@c");
testAddress("FROM:<a\\>b@c>", "a>b@c");
testAddress('FROM:<"a\\"b"@c>', 'a"b@c');
testAddress('FROM:<"open@c>', "open@c>");
testAddress("FROM:<a@b", "a@b");
testAddress("FROM:<a@b\\", "a@b");
testAddress("", null);
testAddress("a@b", null);
testAddress("FROM:<a\0@b>", "a\0@b");
testAddress("FROM:<a\r@b>", "a\r@b");
testAddress(`FROM:<${"x".repeat(899)}>`, "x".repeat(899));
testAddress(`FROM:<${"x".repeat(900)}>`, null);

test("parseAddress() gives back what quoting hides, for any address", () => {
  const bytes = fc.string({ unit: fc.constantFrom(...'ab"\\> <@.:\xe9') });
  fc.assert(
    fc.property(bytes, bytes, (local, rest) => {
      const quoted = `"${local.replace(/["\\]/g, "\\$&")}"`;
      assert.deepEqual(parseAddress(`TO:<${quoted}@host>${rest}`), {
        address: `${local}@host`,
        rest,
      });
    }),
  );
});

const testOwn = (address: string, replaced: string) => {
  test(`replaceOwnAddress() makes ${address} ${replaced}`, () => {
    const own = { isOwn: (ip: string) => ip === "10.0.0.1" || ip === "fd00::7", host: "here" };
    assert.equal(replaceOwnAddress(address, own), replaced);
  });
};
testOwn("a@[10.0.0.1]", "a@here");
testOwn("a@[010.00.0.001]", "a@here");
testOwn("a@b@[10.0.0.1]", "a@b@here");
testOwn("a@[IPv6:fd00::7]", "a@here");
testOwn("a@[ipv6:fd00::7]", "a@here");
testOwn("a@[fd00::7]", "a@[fd00::7]");
testOwn("a@[IPv6:fd00::8]", "a@[IPv6:fd00::8]");
testOwn("a@[10.0.0.2]", "a@[10.0.0.2]");
testOwn("a@[10.0.0.1].x", "a@[10.0.0.1].x");
testOwn("[10.0.0.1]", "[10.0.0.1]");
testOwn("a@[10.0.0.1]@b", "a@[10.0.0.1]@b");

test("parseParameters() reads words with and without value", () => {
  assert.deepEqual(
    [...parseParameters(" size=5  BODY=8BITMIME x")].filter(([key]) => key !== ""),
    [
      ["SIZE", "5"],
      ["BODY", "8BITMIME"],
      ["X", ""],
    ],
  );
});
