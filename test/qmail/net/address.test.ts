import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOf, isPublic, parseListen, plainAddress } from "../../../qmail/net/address.ts";

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

test("isPublic()", () => {
  for (const ip of ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00:1450::1", "2600::1"]) {
    assert.equal(isPublic(ip), true, ip);
  }
  for (const ip of [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "2001:db8::1",
    "2001:0:1::1",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "ff02::1",
  ]) {
    assert.equal(isPublic(ip), false, ip);
  }
});
