/** The resolver against real name servers: MX, null MX, CNAME chains, large answers, DNSSEC. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Resolver } from "../../../qmail/dns/resolver.ts";
import { lookupMx } from "../../../qmail/remote/mx.ts";
import { type NameServers, startNameServers, withoutNameServers } from "./_nameserver.ts";

const skip = withoutNameServers;
const DIGEST = "ab".repeat(32);
const COUNT = 200;

const ZONES = {
  "far.test": [
    "@ MX 20 backup\n@ MX 10 mx",
    "mx A 192.0.2.1\nmx AAAA 2001:db8::1\nbackup A 192.0.2.2",
    "null MX 0 .",
    "alias CNAME alias2\nalias2 CNAME mx",
    "gone CNAME nothing",
    "away CNAME mx.signed.test.",
    "only A 192.0.2.3",
    `${Array.from({ length: COUNT }, (_, at) => `large MX ${at} mx${at}`).join("\n")}`,
  ].join("\n"),
  "signed.test": `@ MX 10 mx\nmx A 192.0.2.9\n_25._tcp.mx TLSA 3 1 1 ${DIGEST}`,
};

let servers: NameServers | undefined;
before(async () => {
  if (!skip) servers = await startNameServers(ZONES);
});
after(() => servers?.[Symbol.asyncDispose]());

function resolver(which: "nsd" | "unbound"): Resolver {
  const server = (servers as NameServers)[which];
  return new Resolver({ servers: { servers: [server], trusted: true } });
}

for (const which of ["nsd", "unbound"] as const) {
  test(`${which}: MX, null MX, CNAMEs, nothing`, { skip }, async () => {
    const dns = resolver(which);
    const ips = async (host: string) => {
      const lookup = await lookupMx(dns, host, Math.random);
      return lookup.ok ? lookup.exchangers.map(({ ip }) => ip) : lookup.why;
    };
    assert.deepEqual(await ips("far.test"), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    assert.deepEqual(await ips("alias.far.test"), ["2001:db8::1", "192.0.2.1"]);
    assert.deepEqual(await ips("away.far.test"), ["192.0.2.9"]);
    assert.deepEqual(await ips("only.far.test"), ["192.0.2.3"]);
    assert.equal(await ips("null.far.test"), "null");
    assert.equal(await ips("gone.far.test"), "hard");
    assert.equal(await ips("nobody.far.test"), "hard");
  });

  test(`${which}: an answer too large for a datagram`, { skip }, async () => {
    const large = await resolver(which).lookup("large.far.test", "MX");
    assert.equal(large.status === "found" && large.records.length, COUNT);
  });
}

test("a name that the server may not answer is trouble, no end", { skip }, async () => {
  // nsd refuses zones that it does not have.
  const lookup = await lookupMx(resolver("nsd"), "elsewhere.example", Math.random);
  assert.deepEqual(lookup, { ok: false, why: "soft" });
});

test("DNSSEC: what unbound has checked is secure, what is unsigned or comes from nsd is not", {
  skip,
}, async () => {
  const secure = async (which: "nsd" | "unbound", host: string) => {
    const lookup = await lookupMx(resolver(which), host, Math.random);
    return lookup.ok && lookup.exchangers.every((each) => each.secure);
  };
  assert.equal(await secure("unbound", "signed.test"), true);
  assert.equal(await secure("unbound", "far.test"), false);
  assert.equal(await secure("unbound", "away.far.test"), false);
  assert.equal(await secure("nsd", "signed.test"), false);
  const tlsa = await resolver("unbound").lookup("_25._tcp.mx.signed.test", "TLSA");
  const certificate = Buffer.from(DIGEST, "hex");
  assert.deepEqual(tlsa, {
    status: "found",
    secure: true,
    records: [{ usage: 3, selector: 1, matchingType: 1, certificate }],
  });
  const none = await resolver("unbound").lookup("_26._tcp.mx.signed.test", "TLSA");
  assert.deepEqual(none, { status: "none", exists: false, secure: true });
});
