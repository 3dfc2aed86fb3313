import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRequest } from "../../../qmail/supervise/control.ts";

test("what is no request is none, whatever JSON it is", () => {
  const lines = [
    "",
    "{",
    "null",
    "1",
    '"status"',
    "[]",
    "{}",
    '{"type":"nothing"}',
    '{"type":"wait"}',
    '{"type":"wait","timeout":"1"}',
    '{"type":"wait","timeout":-1}',
    '{"type":"signal","service":"smtp"}',
    '{"type":"signal","service":["smtp"],"signal":"SIGHUP"}',
    '{"type":"signal","service":"smtp","signal":"SIGNOT"}',
    '{"type":"signal","service":"smtp","signal":"__proto__"}',
    '{"type":"signal","service":"smtp","signal":9}',
  ];
  for (const line of lines) assert.equal(parseRequest(line), null, line);
});

test("a request is as it was sent, without what does not belong to it", () => {
  const status = { type: "status", more: 1 };
  assert.deepEqual(parseRequest(JSON.stringify(status)), { type: "status" });
  const signal = { type: "signal", service: "smtp", signal: "SIGHUP" };
  assert.deepEqual(parseRequest(JSON.stringify(signal)), signal);
  const wait = { type: "wait", timeout: 1e300 };
  assert.deepEqual(parseRequest(JSON.stringify(wait)), { type: "wait", timeout: 0x7fffffff });
});

test("nothing is thrown at anybody", () => {
  fc.assert(fc.property(fc.json(), (line) => void parseRequest(line)));
  const part = fc.oneof(
    fc.constantFrom("status", "wait", "stop", "signal", "SIGHUP"),
    fc.jsonValue(),
  );
  const request = fc.record({ type: part, timeout: part, service: part, signal: part });
  fc.assert(fc.property(request, (value) => void parseRequest(JSON.stringify(value))));
});
