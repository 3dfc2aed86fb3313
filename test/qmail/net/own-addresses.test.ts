import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { OwnAddresses } from "../../../qmail/net/own-addresses.ts";

function own(files: Readonly<Record<string, readonly string[]>> = {}): OwnAddresses {
  return new OwnAddresses({ lines: (name) => [...(files[name] ?? [])] });
}

for (const ip of [
  "127.0.0.1",
  "127.0.0.2",
  "127.255.255.254",
  "0.0.0.0",
  "::",
  "::1",
  "0:0:0:0:0:0:0:1",
  "0000:0000:0000:0000:0000:0000:0000:0001",
  "::ffff:127.0.0.1",
  "::FFFF:7f00:2",
  "0:0:0:0:0:ffff:127.0.0.1",
]) {
  test(`${ip} is this machine`, () => assert.equal(own().has(ip), true));
}

for (const ip of [
  "192.0.2.1",
  "128.0.0.1",
  "2001:db8::1",
  "::2",
  "::ffff:192.0.2.1",
  "a.test",
  "",
]) {
  test(`"${ip}" is another`, () => assert.equal(own().has(ip), false));
}

test("the addresses of all interfaces are ours, in any spelling", () => {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  for (const { address, family } of all) {
    assert.equal(own().has(address), true, address);
    if (family === "IPv4") assert.equal(own().has(`::ffff:${address}`), true, address);
    else assert.equal(own().has(address.toUpperCase()), true, address);
  }
});

test("control/moreipme and control/notipme say more, in addresses and networks", () => {
  const more = own({ moreipme: ["192.0.2.1", "2001:db8::/32"], notipme: ["127.25.0.0/16"] });
  for (const ip of ["192.0.2.1", "::ffff:192.0.2.1", "2001:DB8:0::9", "127.0.0.2"]) {
    assert.equal(more.has(ip), true, ip);
  }
  for (const ip of ["203.0.113.2", "2001:db9::1", "127.25.0.1", "::ffff:127.25.0.1"]) {
    assert.equal(more.has(ip), false, ip);
  }
});

for (const line of ["mail.test", "192.0.2.1/33", "192.0.2", "2001:db8::/129"]) {
  test(`a line that is none is named: "${line}"`, () => {
    assert.throws(() => own({ moreipme: [line] }), /cannot read control\/moreipme: ".*" is no/);
  });
}
