import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dns } from "../../../qmail/dns/resolver.ts";
import { type LookupFailure, lookupHost, lookupMx } from "../../../qmail/remote/mx.ts";
import { fakeDns, mx, type Zone } from "./_dns.ts";

async function ips(zone: Zone, host: string, random = () => 0.99) {
  const lookup = await lookupMx(fakeDns(zone), host, random);
  return lookup.ok
    ? lookup.exchangers.map(({ ip, preference }) => `${preference} ${ip}`)
    : lookup.why;
}

const ZONE: Zone = {
  "MX two.test": [mx(20, "b.test"), mx(10, "a.test")],
  "A a.test": ["192.0.2.1"],
  "AAAA a.test": ["2001:db8::1"],
  "A b.test": ["192.0.2.2"],
};

test("lookupMx() takes exchangers by preference, IPv6 before IPv4", async () => {
  assert.deepEqual(await ips(ZONE, "two.test"), ["10 2001:db8::1", "10 192.0.2.1", "20 192.0.2.2"]);
});

test("lookupMx() shuffles exchangers of equal preference, and those alone", async () => {
  const zone = { ...ZONE, "MX same.test": [mx(5, "a.test"), mx(5, "b.test"), mx(1, "c.test")] };
  const all = { ...zone, "A c.test": ["192.0.2.3"], "AAAA a.test": "trouble" as const };
  const seen = new Set<string>();
  for (const random of [() => 0, () => 0.99]) {
    const found = await ips(all, "same.test", random);
    assert.equal(found[0], "1 192.0.2.3");
    seen.add(String(found));
  }
  assert.equal(seen.size, 2);
});

test("lookupMx() takes the host itself where there is no MX", async () => {
  assert.deepEqual(await ips(ZONE, "b.test"), ["0 192.0.2.2"]);
});

for (const host of ["[192.0.2.7]", "192.0.2.7"]) {
  test(`lookupMx() asks nobody about ${host}`, async () => {
    assert.deepEqual(await ips({}, host), ["0 192.0.2.7"]);
  });
}

test("lookupMx() knows IPv6 literals and localhost", async () => {
  assert.deepEqual(await ips({}, "[IPv6:2001:db8::9]"), ["0 2001:db8::9"]);
  assert.deepEqual(await ips({}, "localhost"), ["0 ::1", "0 127.0.0.1"]);
});

const FAILURES: readonly (readonly [string, string, Zone, LookupFailure])[] = [
  ["no such host", "no.test", {}, "hard"],
  ["a literal that is none", "[1.2.3]", {}, "hard"],
  ["nobody knows the MX", "a.test", { ...ZONE, "MX a.test": "trouble" }, "soft"],
  ["nobody knows the address", "b.test", { "A b.test": "trouble" }, "soft"],
  ["null MX", "n.test", { "MX n.test": [mx(0, "")], "A n.test": ["192.0.2.1"] }, "null"],
  ["an MX without address", "m.test", { "MX m.test": [mx(0, "gone.test")] }, "nomx"],
  [
    "an MX whose address nobody knows",
    "m.test",
    { "MX m.test": [mx(0, "gone.test"), mx(1, "x.test")], "A x.test": "trouble" },
    "soft",
  ],
];

for (const [name, host, zone, why] of FAILURES) {
  test(`lookupMx() says ${why}: ${name}`, async () => {
    assert.equal(await ips(zone, host), why);
  });
}

test("lookupMx() does without an exchanger that nobody knows when there is another", async () => {
  assert.deepEqual(await ips({ ...ZONE, "A b.test": "trouble" }, "two.test"), [
    "10 2001:db8::1",
    "10 192.0.2.1",
  ]);
});

test("lookupMx() says which exchangers it could not find", async () => {
  const missing = async (zone: Zone, host: string) => {
    const lookup = await lookupMx(fakeDns(zone), host, () => 0.99);
    return lookup.ok ? lookup.missing : lookup.why;
  };
  assert.deepEqual(await missing(ZONE, "two.test"), []);
  assert.deepEqual(await missing({ ...ZONE, "A b.test": "trouble" }, "two.test"), [20]);
  const gone = { ...ZONE, "MX two.test": [mx(20, "b.test"), mx(10, "gone.test")] };
  assert.deepEqual(await missing(gone, "two.test"), [10]);
});

test("lookupMx() decides nothing for good by what is said without proof", async () => {
  const unproven = (type: string, name: string): Dns => {
    const { lookup } = fakeDns(ZONE);
    return {
      lookup: async (asked, as) =>
        asked === name && as === type
          ? { status: "none", exists: true, secure: false, unproven: true }
          : lookup(asked, as),
    };
  };
  const why = async (dns: Dns, host: string) => {
    const lookup = await lookupMx(dns, host, () => 0.99);
    return lookup.ok ? [lookup.exchangers.map(({ ip }) => ip), lookup.missing] : lookup.why;
  };
  assert.equal(await why(unproven("MX", "no.test"), "no.test"), "soft");
  assert.equal(await why(unproven("A", "no.test"), "no.test"), "soft");
  // A host that is there is as good as ever, but need not be all that there is.
  const [ips, missing] = (await why(unproven("MX", "b.test"), "b.test")) as [string[], number[]];
  assert.deepEqual([ips, missing], [["192.0.2.2"], [Number.NEGATIVE_INFINITY]]);
});

test("lookupMx() looks at twenty exchangers and no more", async () => {
  const many = Array.from({ length: 50 }, (_, at) => mx(at, "b.test"));
  assert.equal((await ips({ ...ZONE, "MX many.test": many }, "many.test")).length, 20);
});

test("an exchanger is secure when every answer on the way is", async () => {
  for (const secure of [true, false]) {
    const lookup = await lookupMx(fakeDns(ZONE, secure), "two.test", Math.random);
    assert.ok(lookup.ok && lookup.exchangers.every((each) => each.secure === secure));
  }
  const literal = await lookupHost(fakeDns({}, true), "[192.0.2.1]");
  assert.ok(literal.ok && literal.exchangers.every(({ secure }) => !secure));
});
