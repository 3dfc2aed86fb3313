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

test("a user's logins give no guess to who tries his password", () => {
  const brakes = new LoginBrakes(new Map(), () => 1000);
  brakes.for("192.0.2.1").guess("joe")?.right();
  assert.equal(begun(brakes, "192.0.2.2", "joe"), 20);
  for (let n = 0; n < 100; n++) {
    (brakes.for("192.0.2.1").guess("joe") ?? assert.fail("joe is locked out")).right();
    assert.equal(begun(brakes, "192.0.2.3", "joe", 1), 0);
  }
});

test("who has one good account has no more guesses at others for it, at once or with time", () => {
  for (const wait of [0, 1, 30, 60, 600, 1200]) {
    let now = 1000;
    const guesses = (own: boolean) => {
      const brakes = new LoginBrakes(new Map(), () => now);
      let count = 0;
      for (const end = now + 7200; now < end; now += wait + 1) {
        // An exchange that is begun, and brought to its good end when it has long been forgiven.
        const good = own ? brakes.for("192.0.2.1").guess("mallory") : null;
        now += wait;
        count += begun(brakes, "192.0.2.1", "joe", 5);
        good?.right();
        count += begun(brakes, "192.0.2.1", "jane", 5);
      }
      return count;
    };
    const without = guesses(false);
    assert.ok(guesses(true) <= without, `${wait} s: more than ${without}`);
  }
});

test("a store in trouble may not be asked without end, and locks nobody out when it is well again", () => {
  let now = 1000;
  const brakes = new LoginBrakes(new Map(), () => now);
  let tries = 0;
  for (; tries < 1000; tries++) {
    const guess = brakes.for("192.0.2.1").guess("joe");
    if (!guess) break;
    guess.undecided();
  }
  assert.equal(tries, 60);
  assert.equal(begun(brakes, "192.0.2.2", "joe", 1), 1);
  now += 6;
  assert.equal(begun(brakes, "192.0.2.1", "joe", 1), 1);
});
