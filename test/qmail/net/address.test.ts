import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOf, parseListen, plainAddress } from "../../../qmail/net/address.ts";

const testListen = (text: string, host: string | undefined, port: number | null) => {
  test(`parseListen() reads "${text}"`, () => {
    assert.deepEqual(parseListen(text), port === null ? null : { host, port });
  });
};
testListen("127.0.0.1:25", "127.0.0.1", 25);
testListen("[::1]:25", "::1", 25);
testListen(":2525", undefined, 2525);
testListen("mail.test:25", "mail.test", 25);
testListen("::1:25", undefined, null);
testListen("127.0.0.1", undefined, null);
testListen("127.0.0.1:65536", undefined, null);

test("plainAddress() shows an IPv4 client of an IPv6 socket", () => {
  assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(plainAddress("::1"), "::1");
  assert.equal(plainAddress("fe80::1%eth0"), "fe80::1");
});

for (const [ip, client] of [
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8:1:2::6", "2001:db8:1:2"],
  ["2001:db8::6", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["2001:db8:1::2:3:4:5", "2001:db8:1:0"],
] as const) {
  test(`clientOf() takes ${ip} for ${client}`, () => assert.equal(clientOf(ip), client));
}
