/** AUTH through checkpassword programs: what each way to leave means. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginBrakes } from "../../../qmail/net/login-brakes.ts";
import { beginExchange } from "../../../qmail/smtpd/auth.ts";
import { checkProgram, programStore } from "../../../qmail/smtpd/program-store.ts";

/** A store whose program leaves as `script` says. */
function makeStore(script: string) {
  const warnings: string[] = [];
  const command = ["/bin/sh", "-c", `cat <&3 >/dev/null; ${script}`];
  const check = checkProgram({ command, warn: (text) => warnings.push(text) });
  return { store: programStore(check, { cram: false }), warnings };
}

for (const [script, expected] of [
  ["exit 0", "ok"],
  ["exit 1", "refused"],
  // Used wrongly, by the interface; vchkpw's for a wrong password; and whatever else.
  ["exit 2", "refused"],
  ["exit 3", "refused"],
  ["exit 100", "refused"],
  ["exit 255", "refused"],
  ["exit 111", "temporary"],
  ["kill -9 $$", "temporary"],
] as const) {
  test(`a checkpassword program's "${script}" means ${expected}`, async () => {
    const { store, warnings } = makeStore(script);
    assert.equal(await store.check("joe", "secret"), expected);
    assert.equal(warnings.length, expected === "temporary" ? 1 : 0);
  });
}

test("a program that cannot be started is trouble", async () => {
  const check = checkProgram({ command: ["/nonexistent/checkpassword"], warn() {} });
  assert.equal(await programStore(check, { cram: false }).check("joe", "secret"), "temporary");
});

test("wrong passwords and trouble of a program are braked", async () => {
  for (const [script, most] of [
    ["exit 3", 20],
    ["exit 111", 60],
  ] as const) {
    const { store } = makeStore(script);
    const guard = new LoginBrakes(new Map(), () => 1000).for("192.0.2.1");
    let tries = 0;
    for (; tries < 100; tries++) {
      const exchange = beginExchange("PLAIN", "\0joe\0guess", { store, guard, host: "mail.test" });
      const { value } = (await exchange?.next("")) ?? assert.fail("PLAIN is not there");
      if (typeof value !== "string" && value.status === "braked") break;
    }
    assert.equal(tries, most, script);
  }
});
