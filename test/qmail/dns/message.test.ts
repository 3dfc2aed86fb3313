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

const NXDOMAIN = 3;
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
