import assert from "node:assert/strict";
import { test } from "node:test";
import * as packet from "dns-packet";
import { exchange } from "../../../qmail/dns/exchange.ts";
import type { NameServer } from "../../../qmail/dns/resolv-conf.ts";
import { Resolver } from "../../../qmail/dns/resolver.ts";
import { type Answering, dnsServer } from "./_server.ts";

const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const NOTIMP = 4;

function a(name: string, data: string, ttl = 60): packet.Answer {
  return { name, type: "A", ttl, data };
}

async function world(answering: Answering, more: readonly NameServer[] = []) {
  const server = await dnsServer(answering);
  const clock = { ms: 1_000_000 };
  const resolver = new Resolver({
    servers: { servers: [...more, server.server], trusted: true },
    now: () => clock.ms,
  });
  return { resolver, clock, ...server, [Symbol.asyncDispose]: server[Symbol.asyncDispose] };
}

test("an answer is kept as long as it holds", async () => {
  let ip = 0;
  await using w = await world(({ name }) => ({ answers: [a(name, `192.0.2.${++ip}`, 60)] }));
  const first = await w.resolver.lookup("A.test", "A");
  assert.deepEqual(first, { status: "found", records: ["192.0.2.1"], secure: false });
  w.clock.ms += 59_000;
  assert.deepEqual(await w.resolver.lookup("a.test.", "A"), first);
  assert.equal(w.asked.length, 1);
  w.clock.ms += 2000;
  assert.notDeepEqual(await w.resolver.lookup("a.test", "A"), first);
});

test("there is none, and there is nothing there, are kept too", async () => {
  const soa: packet.Answer = {
    name: "test",
    type: "SOA",
    ttl: 600,
    data: { mname: "n", rname: "r", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 10 },
  };
  await using w = await world(({ name }) => {
    return { authorities: [soa], flags: name === "no.test" ? NXDOMAIN : 0 };
  });
  const gone = { status: "none", exists: false, secure: false };
  assert.deepEqual(await w.resolver.lookup("no.test", "MX"), gone);
  assert.deepEqual(await w.resolver.lookup("no.test", "MX"), gone);
  assert.deepEqual(await w.resolver.lookup("yes.test", "MX"), { ...gone, exists: true });
  assert.equal(w.asked.length, 2);
  w.clock.ms += 11_000;
  await w.resolver.lookup("no.test", "MX");
  assert.equal(w.asked.length, 3);
});

test("asked many times at once, a question goes out once", async () => {
  await using w = await world(({ name }) => ({ answers: [a(name, "192.0.2.1")] }));
  const all = await Promise.all([1, 2, 3, 4].map(() => w.resolver.lookup("a.test", "A")));
  assert.equal(w.asked.length, 1);
  assert.ok(all.every(({ status }) => status === "found"));
});

test("a truncated answer is asked for again over TCP", async () => {
  await using w = await world(({ name }, over) => {
    if (over === "udp") return { flags: packet.TRUNCATED_RESPONSE };
    return { answers: Array.from({ length: 200 }, (_, at) => a(name, `192.0.2.${at}`)) };
  });
  const large = await w.resolver.lookup("large.test", "A");
  assert.equal(large.status === "found" && large.records.length, 200);
  assert.deepEqual(w.asked, ["udp A large.test", "tcp A large.test"]);
});

test("an answer that is cut off over TCP too says nothing", async () => {
  await using w = await world(() => ({ flags: packet.TRUNCATED_RESPONSE }));
  const cut = await w.resolver.lookup("large.test", "MX");
  assert.equal(cut.status, "trouble");
  assert.match(cut.status === "trouble" ? cut.why : "", /a part of an answer/);
});

test("a question that ends in an error is asked again", async () => {
  const broken = { type: "cname", target: undefined, ttl: 60 } as never;
  const answers = [broken, { type: "nodata", ttl: 60 }];
  const resolver = new Resolver({
    servers: { servers: [{ ip: "127.0.0.1", port: 1 }], trusted: false },
    ask: async () => ({ verdict: answers.shift() as never, authentic: false, truncated: false }),
  });
  await assert.rejects(resolver.lookup("a.test", "A"));
  assert.equal((await resolver.lookup("a.test", "A")).status, "none");
});

test("a CNAME that leads out of what the server knows is followed", async () => {
  await using w = await world(({ name }) => {
    if (name === "b.other") return { answers: [a(name, "192.0.2.9")] };
    return { answers: [{ name, type: "CNAME", ttl: 5, data: "b.other" }] };
  });
  const found = await w.resolver.lookup("a.test", "A");
  assert.deepEqual(found, { status: "found", records: ["192.0.2.9"], secure: false });
  assert.deepEqual(w.asked, ["udp A a.test", "udp A b.other"]);
});

test("CNAMEs in a circle are trouble, not an end", async () => {
  await using w = await world(({ name }) => {
    const data = name === "a.test" ? "b.test" : "a.test";
    return { answers: [{ name, type: "CNAME", ttl: 5, data }] };
  });
  assert.equal((await w.resolver.lookup("a.test", "A")).status, "trouble");
});

test("DNSSEC counts when the server says so and is trusted, along the whole way", async () => {
  const answering: Answering = ({ name }) => {
    if (name === "chain.test") {
      const flags = packet.AUTHENTIC_DATA;
      return { flags, answers: [{ name, type: "CNAME", ttl: 5, data: "plain.test" }] };
    }
    const flags = name === "signed.test" ? packet.AUTHENTIC_DATA : 0;
    return { flags, answers: [a(name, "192.0.2.1")] };
  };
  await using w = await world(answering);
  const secure = async (resolver: Resolver, name: string) => {
    const found = await resolver.lookup(name, "A");
    return found.status === "found" && found.secure;
  };
  assert.equal(await secure(w.resolver, "signed.test"), true);
  assert.equal(await secure(w.resolver, "plain.test"), false);
  assert.equal(await secure(w.resolver, "chain.test"), false);
  const wary = new Resolver({ servers: { servers: [w.server], trusted: false } });
  assert.equal(await secure(wary, "signed.test"), false);
});

test("a server that fails or is not there is passed over", async () => {
  await using broken = await dnsServer(() => ({ flags: SERVFAIL }));
  const closed = { ip: "127.0.0.1", port: 1 };
  const more = [broken.server, closed];
  await using w = await world(({ name }) => ({ answers: [a(name, "192.0.2.1")] }), more);
  assert.equal((await w.resolver.lookup("a.test", "A")).status, "found");
  assert.equal(broken.asked.length, 1);
});

test("a server that says nothing, or who else may know, is passed over", async () => {
  const referral: packet.Answer = { name: "test", type: "NS", ttl: 60, data: "ns.test" };
  for (const useless of [{}, { authorities: [referral] }]) {
    await using lame = await dnsServer(() => useless);
    await using w = await world(({ name }) => ({ answers: [a(name, "192.0.2.1")] }), [lame.server]);
    assert.equal((await w.resolver.lookup("a.test", "A")).status, "found");
    const alone = new Resolver({ servers: { servers: [lame.server], trusted: true } });
    assert.equal((await alone.lookup("a.test", "A")).status, "trouble");
  }
});

test("none without proof is what is said when nobody knows better", async () => {
  await using cache = await dnsServer(() => ({ flags: packet.RECURSION_AVAILABLE }));
  await using w = await world(({ name }) => ({ answers: [a(name, "192.0.2.1")] }), [cache.server]);
  assert.equal((await w.resolver.lookup("a.test", "A")).status, "found");
  await using broken = await dnsServer(() => ({ flags: SERVFAIL }));
  const servers = [cache.server, broken.server];
  const resolver = new Resolver({ servers: { servers, trusted: true } });
  assert.deepEqual(await resolver.lookup("a.test", "A"), {
    status: "none",
    exists: true,
    secure: false,
    unproven: true,
  });
});

/** What servers do that do not know EDNS. */
const WITHOUT_EDNS: Readonly<Record<string, Partial<packet.Packet> | null>> = {
  FORMERR: { flags: FORMERR },
  "FORMERR without the question": { flags: FORMERR, questions: [] },
  NOTIMP: { flags: NOTIMP },
  silence: null,
};
for (const [what, says] of Object.entries(WITHOUT_EDNS)) {
  test(`a server that answers EDNS with ${what} is asked without, from then on`, async () => {
    const seen: boolean[] = [];
    await using w = await world(({ name }, _, edns) => {
      seen.push(edns);
      return edns ? says : { answers: [a(name, "192.0.2.1")] };
    });
    // By a clock that is not waited for.
    const ask: typeof exchange = (server, question) => exchange(server, question, 500);
    const servers = { servers: [w.server], trusted: true };
    const resolver = new Resolver({ servers, now: () => w.clock.ms, ask });
    assert.equal((await resolver.lookup("a.test", "A")).status, "found");
    assert.equal((await resolver.lookup("b.test", "A")).status, "found");
    assert.deepEqual(seen, [true, false, false]);
    // Servers are mended.
    w.clock.ms += 3_700_000;
    assert.equal((await resolver.lookup("c.test", "A")).status, "found");
    assert.deepEqual(seen, [true, false, false, true, false]);
  });
}

test("trouble is told, asked twice, and kept for a moment only", async () => {
  await using w = await world(() => ({ flags: SERVFAIL }));
  const result = await w.resolver.lookup("a.test", "MX");
  assert.equal(result.status, "trouble");
  assert.match(result.status === "trouble" ? result.why : "", /SERVFAIL from .*127\.0\.0\.1/);
  assert.equal(w.asked.length, 2);
  await w.resolver.lookup("a.test", "MX");
  assert.equal(w.asked.length, 2);
  w.clock.ms += 6000;
  await w.resolver.lookup("a.test", "MX");
  assert.equal(w.asked.length, 4);
});

test("what can be no name is not asked for; names of bytes in UTF-8 are", async () => {
  await using w = await world(({ name }) => ({ answers: [a(name, "192.0.2.1")] }));
  const none = { status: "none", exists: false, secure: false };
  for (const name of ["", "a..b", "a b.test", "x".repeat(300)]) {
    assert.deepEqual(await w.resolver.lookup(name, "A"), none, name);
  }
  await w.resolver.lookup(Buffer.from("bücher.test").toString("latin1"), "A");
  assert.deepEqual(w.asked, ["udp A xn--bcher-kva.test"]);
});
