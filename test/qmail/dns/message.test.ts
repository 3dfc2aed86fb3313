import assert from "node:assert/strict";
import { test } from "node:test";
import * as packet from "dns-packet";
import fc from "fast-check";
import {
  formatQuestion,
  isName,
  parseAnswer,
  type RecordType,
} from "../../../qmail/dns/message.ts";

const FORMERR = 1;
const NXDOMAIN = 3;
const NOTIMP = 4;
const SERVFAIL = 2;
const SOA = { mname: "ns.test", rname: "root.test", serial: 1, refresh: 1, retry: 1, expire: 1 };

function answer<T extends RecordType>(name: string, type: T, parts: packet.Packet) {
  const bytes = packet.encode({
    id: 7,
    type: "response",
    questions: [{ name, type, class: "IN" }],
    ...parts,
  });
  return parseAnswer(bytes, { id: 7, name, type });
}

function verdict<T extends RecordType>(name: string, type: T, parts: packet.Packet) {
  return answer(name, type, parts)?.verdict;
}

test("formatQuestion() asks one thing, wants recursion, says how much fits", () => {
  const question = packet.decode(formatQuestion(513, "example.test", "MX"));
  assert.equal(question.id, 513);
  assert.equal(question.flag_rd, true);
  assert.equal(question.flag_ad, true);
  assert.deepEqual(
    question.questions?.map(({ name, type }) => [name, type]),
    [["example.test", "MX"]],
  );
  const [edns] = (question.additionals ?? []) as packet.OptAnswer[];
  assert.equal(edns?.udpPayloadSize, 1232);
});

test("parseAnswer() reads the records of each type", () => {
  const found = (type: RecordType, data: unknown) => {
    const record = { name: "X.test", type, ttl: 60, data } as packet.Answer;
    return verdict("x.test", type, { answers: [record] });
  };
  const records = (type: RecordType, data: unknown) => {
    const result = found(type, data);
    return result?.type === "found" ? result.records[0] : result;
  };
  assert.equal(records("A", "192.0.2.1"), "192.0.2.1");
  assert.equal(records("AAAA", "2001:db8::1"), "2001:db8::1");
  assert.equal(records("PTR", "host.test"), "host.test");
  assert.equal(records("TXT", ["v=STSv1; ", "id=1"]), "v=STSv1; id=1");
  assert.deepEqual(records("MX", { preference: 5, exchange: "mx.test" }), {
    preference: 5,
    exchange: "mx.test",
  });
  assert.deepEqual(records("MX", { preference: 0, exchange: "." }), {
    preference: 0,
    exchange: "",
  });
  const certificate = Buffer.from("00ff10", "hex");
  const tlsa = { usage: 3, selector: 1, matchingType: 1, certificate };
  assert.deepEqual(records("TLSA", tlsa), tlsa);
});

test("parseAnswer() follows CNAMEs, and takes the shortest life on the way", () => {
  const cname = (name: string, data: string, ttl: number): packet.Answer => {
    return { name, type: "CNAME", ttl, data };
  };
  const chain = [cname("a.test", "b.test", 50), cname("b.test", "c.test", 20)];
  assert.deepEqual(
    verdict("a.test", "A", {
      answers: [{ name: "c.test", type: "A", ttl: 30, data: "192.0.2.3" }, ...chain],
    }),
    { type: "found", records: ["192.0.2.3"], ttl: 20 },
  );
  assert.deepEqual(verdict("a.test", "A", { answers: chain }), {
    type: "cname",
    target: "c.test",
    ttl: 20,
  });
  const round = [cname("a.test", "b.test", 1), cname("b.test", "a.test", 1)];
  assert.notEqual(verdict("a.test", "A", { answers: round })?.type, "found");
});

test("parseAnswer() tells none from nothing there from cannot say", () => {
  const soa = (ttl: number, minimum: number): packet.Answer => {
    return { name: "test", type: "SOA", ttl, data: { ...SOA, minimum } };
  };
  assert.deepEqual(verdict("a.test", "A", { authorities: [soa(900, 300)] }), {
    type: "nodata",
    ttl: 300,
  });
  assert.deepEqual(verdict("a.test", "A", { flags: NXDOMAIN, authorities: [soa(30, 300)] }), {
    type: "nxdomain",
    ttl: 30,
  });
  assert.deepEqual(verdict("a.test", "A", { flags: SERVFAIL }), {
    type: "trouble",
    rcode: "SERVFAIL",
  });
});

test("parseAnswer() takes no answer without proof for none (RFC 2308 section 2.2)", () => {
  const ns = (name: string): packet.Answer => ({ name, type: "NS", ttl: 60, data: "ns.test" });
  const ra = packet.RECURSION_AVAILABLE;
  const unproven = "nothing, and no proof of it";
  const cases: readonly (readonly [string, packet.Packet, unknown])[] = [
    ["nothing at all", {}, { type: "trouble", rcode: unproven }],
    ["a referral", { authorities: [ns("test")] }, { type: "trouble", rcode: "a referral" }],
    [
      "a referral by a resolver",
      { flags: ra, authorities: [ns(".")] },
      { type: "trouble", rcode: "a referral" },
    ],
    [
      "no such name, without a right to say so",
      { flags: NXDOMAIN },
      { type: "trouble", rcode: unproven },
    ],
    ["nothing, by a resolver", { flags: ra }, { type: "nodata", ttl: 60, unproven: true }],
    ["no such name, by a resolver", { flags: ra | NXDOMAIN }, { type: "nxdomain", ttl: 60 }],
    [
      "no such name, by who knows",
      { flags: packet.AUTHORITATIVE_ANSWER | NXDOMAIN },
      { type: "nxdomain", ttl: 60 },
    ],
  ];
  for (const [what, parts, expected] of cases) {
    assert.deepEqual(verdict("a.test", "A", parts), expected, what);
  }
});

test("parseAnswer() reads the whole RCODE, of EDNS too", () => {
  const opt = (extendedRcode: number): packet.OptAnswer => {
    return {
      name: ".",
      type: "OPT",
      udpPayloadSize: 1232,
      extendedRcode,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    };
  };
  const soa: packet.Answer = { name: "test", type: "SOA", ttl: 9, data: { ...SOA, minimum: 9 } };
  // Their lower halves are NOERROR and NXDOMAIN.
  for (const [flags, code] of [
    [0, 16],
    [NXDOMAIN, 19],
  ] as const) {
    const parts: packet.Packet = { flags, authorities: [soa], additionals: [opt(1)] };
    assert.deepEqual(verdict("a.test", "A", parts), { type: "trouble", rcode: `RCODE ${code}` });
  }
  const fine = { authorities: [soa], additionals: [opt(0)] };
  assert.equal(verdict("a.test", "A", fine)?.type, "nodata");
});

test("parseAnswer() hears a server that does not understand the question, and does not repeat it", () => {
  const bytes = (flags: number) => packet.encode({ id: 7, type: "response", flags, questions: [] });
  const heard = (flags: number) =>
    parseAnswer(bytes(flags), { id: 7, name: "a.test", type: "A" })?.verdict;
  assert.deepEqual(heard(FORMERR), { type: "trouble", rcode: "FORMERR" });
  assert.deepEqual(heard(NOTIMP), { type: "trouble", rcode: "NOTIMP" });
  assert.equal(heard(NXDOMAIN), undefined);
  assert.equal(heard(0), undefined);
});

test("parseAnswer() passes on AD and TC", () => {
  const flags = packet.AUTHENTIC_DATA | packet.TRUNCATED_RESPONSE;
  const both = answer("a.test", "A", { flags });
  assert.equal(both?.authentic, true);
  assert.equal(both?.truncated, true);
  assert.equal(answer("a.test", "A", {})?.authentic, false);
});

test("parseAnswer() takes nothing for an answer that is none to this question", () => {
  const bytes = packet.encode({
    id: 7,
    type: "response",
    questions: [{ name: "a.test", type: "A", class: "IN" }],
  });
  assert.ok(parseAnswer(bytes, { id: 7, name: "A.TEST", type: "A" }));
  assert.equal(parseAnswer(bytes, { id: 8, name: "a.test", type: "A" }), null);
  assert.equal(parseAnswer(bytes, { id: 7, name: "b.test", type: "A" }), null);
  assert.equal(parseAnswer(bytes, { id: 7, name: "a.test", type: "MX" }), null);
  assert.equal(
    parseAnswer(formatQuestion(7, "a.test", "A"), { id: 7, name: "a.test", type: "A" }),
    null,
  );
});

test("parseAnswer() survives any bytes", () => {
  const question = { id: 7, name: "a.test", type: "MX" as const };
  const good = packet.encode({
    id: 7,
    type: "response",
    questions: [{ name: "a.test", type: "MX", class: "IN" }],
    answers: [{ name: "a.test", type: "MX", ttl: 1, data: { preference: 1, exchange: "b.test" } }],
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      parseAnswer(Buffer.from(bytes), question);
    }),
  );
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const broken = Buffer.from(good);
      broken[at] = byte;
      parseAnswer(broken, question);
    }),
    { numRuns: 2000 },
  );
});

test("isName()", () => {
  for (const name of ["a", "mail.example.test", "_25._tcp.mx.test", "a".repeat(63)]) {
    assert.ok(isName(name), name);
  }
  const long = "a.".repeat(126);
  assert.ok(isName(`${long}a`));
  for (const name of ["", ".", "a..b", "a b", "a".repeat(64), "\xe4.test", `${long}aa`]) {
    assert.ok(!isName(name), name);
  }
});
