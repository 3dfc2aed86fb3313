import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseMechanisms, type Mechanism } from "../../../qmail/remote/auth.ts";

const TIM = { user: "tim", password: "tanstaaftanstaaf" };
const decode = (text: string | null | undefined) =>
  Buffer.from(text ?? "", "base64").toString("latin1");

function choose(offered: string): Mechanism {
  const [mechanism] = chooseMechanisms(offered, TIM);
  assert.ok(mechanism);
  return mechanism;
}

test("CRAM-MD5 as RFC 2195 has it, and before the others", () => {
  const { name, initial, answers } = choose("LOGIN plain cram-md5");
  assert.equal(name, "CRAM-MD5");
  assert.equal(initial, null);
  const challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
  assert.equal(decode(answers[0]?.(challenge)), "tim b913a602c7eda7a495b4e6e7334d3890");
});

test("PLAIN says it all at once", () => {
  const { name, initial, answers } = choose("LOGIN PLAIN");
  assert.deepEqual(
    [name, decode(initial), answers.length],
    ["PLAIN", "\0tim\0tanstaaftanstaaf", 0],
  );
});

test("LOGIN is asked twice", () => {
  const { initial, answers } = choose("LOGIN");
  assert.equal(initial, null);
  assert.deepEqual(
    answers.map((answer) => decode(answer("VXNlcm5hbWU6"))),
    ["tim", "tanstaaftanstaaf"],
  );
});

test("nothing that we do not know is chosen", () => {
  assert.deepEqual(chooseMechanisms("GSSAPI XOAUTH2", TIM), []);
  assert.deepEqual(chooseMechanisms("", TIM), []);
});

test("all that are offered are tried, in our order or in the one that is wanted", () => {
  const names = (offered: string, wanted?: readonly string[]) =>
    chooseMechanisms(offered, TIM, wanted).map(({ name }) => name);
  assert.deepEqual(names("LOGIN PLAIN CRAM-MD5"), ["CRAM-MD5", "PLAIN", "LOGIN"]);
  assert.deepEqual(names("LOGIN PLAIN CRAM-MD5", ["LOGIN", "PLAIN"]), ["LOGIN", "PLAIN"]);
  assert.deepEqual(names("CRAM-MD5", ["PLAIN"]), []);
});
