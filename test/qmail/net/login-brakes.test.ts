import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginBrakes } from "../../../qmail/net/login-brakes.ts";

/** How many of `count` guesses at `login` that begin at once may begin. */
function begun(brakes: LoginBrakes, ip: string, login: string, count = 100): number {
  return Array.from({ length: count }, () => brakes.for(ip).guess(login)).filter(Boolean).length;
}

test("guesses that begin together count from their beginning", () => {
  const brakes = new LoginBrakes(new Map(), () => 1000);
  assert.equal(begun(brakes, "192.0.2.1", "joe"), 20);
  assert.equal(begun(brakes, "192.0.2.1", "jane"), 0);
  assert.equal(begun(brakes, "192.0.2.2", "JOE"), 0);
  assert.equal(begun(brakes, "192.0.2.2", "jane"), 20);
});

test("what was right, or could not be said, is no failure", () => {
  const brakes = new LoginBrakes(new Map(), () => 1000);
  for (let n = 0; n < 100; n++) {
    const guess = brakes.for("192.0.2.1").guess("joe") ?? assert.fail(`${n}`);
    if (n % 2 === 0) guess.right();
    else guess.undecided();
  }
  assert.equal(begun(brakes, "192.0.2.1", "joe"), 20);
});

test("nobody is locked out where he has logged in before, yet guessing there is held", () => {
  const brakes = new LoginBrakes(new Map(), () => 1000);
  brakes.for("192.0.2.1").guess("joe")?.right();
  assert.equal(begun(brakes, "2001:db8::1", "joe"), 20);
  assert.equal(begun(brakes, "2001:db8:0:1::1", "joe"), 0);
  assert.equal(begun(brakes, "192.0.2.1", "joe"), 20);
});

test("with time one more guess is free, and no more than one", () => {
  let now = 1000;
  const brakes = new LoginBrakes(new Map(), () => now);
  begun(brakes, "192.0.2.1", "joe");
  now += 61;
  assert.equal(begun(brakes, "192.0.2.1", "joe"), 1);
});
