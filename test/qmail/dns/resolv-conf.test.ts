import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDnsServers, parseResolvConf } from "../../../qmail/dns/resolv-conf.ts";

test("parseResolvConf() reads nameserver lines and trust-ad", () => {
  const text =
    "# made by hand\nsearch x.test\nnameserver 192.0.2.1 ; ours\nnameserver 2001:db8::1\n";
  assert.deepEqual(parseResolvConf(text), {
    servers: [
      { ip: "192.0.2.1", port: 53 },
      { ip: "2001:db8::1", port: 53 },
    ],
    trusted: false,
  });
  assert.equal(parseResolvConf(`${text}options edns0 trust-ad\n`).trusted, true);
  assert.equal(parseResolvConf("nameserver 127.0.0.53\n").trusted, true);
});

test("parseResolvConf() falls back to this machine, and asks three at most", () => {
  assert.deepEqual(parseResolvConf("nameserver nonsense\n").servers, [
    { ip: "127.0.0.1", port: 53 },
  ]);
  assert.equal(parseResolvConf("nameserver 192.0.2.1\n".repeat(5)).servers.length, 3);
});

test("parseDnsServers() takes addresses with and without port", () => {
  assert.deepEqual(parseDnsServers(["127.0.0.1:5353", "[::1]:53", "::1", "[::1]", "127.0.0.9"]), {
    servers: [
      { ip: "127.0.0.1", port: 5353 },
      { ip: "::1", port: 53 },
      { ip: "::1", port: 53 },
      { ip: "::1", port: 53 },
      { ip: "127.0.0.9", port: 53 },
    ],
    trusted: true,
  });
  assert.equal(parseDnsServers(["192.0.2.1"]).trusted, false);
  assert.equal(parseDnsServers(["192.0.2.1", "trust-ad"]).trusted, true);
});

for (const line of ["ns.example.test", "192.0.2.1:0", "192.0.2.1:70000", "[192.0.2", "1.2.3"]) {
  test(`parseDnsServers() refuses "${line}"`, () => {
    assert.throws(() => parseDnsServers([line]), new RegExp(line.replace(/[[.]/g, "\\$&")));
  });
}
