import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Holds } from "../../../qmail/send/holds.ts";

test("a domain is held and free again in any case of its letters; others are not touched", () => {
  const holds = new Holds<string>();
  assert.equal(holds.heldDomain("joe@far.test"), null);
  holds.hold("Far.TEST");
  assert.equal(holds.heldDomain("Joe@fAR.test"), "far.test");
  assert.equal(holds.heldDomain("joe@sub.far.test"), null);
  assert.equal(holds.heldDomain("far.test"), "far.test");
  holds.free("FAR.test");
  assert.equal(holds.heldDomain("joe@far.test"), null);
});

test("deliveries in memory come back in order, domains in turn, and stop when theirs is held again", () => {
  const holds = new Holds<string>();
  for (const domain of ["a", "b"]) {
    holds.hold(domain);
    for (const at of [1, 2, 3]) holds.parkStraight(domain, `${domain}${at}`);
  }
  assert.equal(holds.nextStraight(), undefined);
  assert.equal(holds.straightCount, 6);
  holds.free("a");
  assert.equal(holds.nextStraight(), "a1");
  holds.free("b");
  assert.deepEqual([holds.nextStraight(), holds.nextStraight()], ["a2", "b1"]);
  holds.hold("a");
  assert.deepEqual([holds.nextStraight(), holds.nextStraight()], ["b2", "b3"]);
  assert.equal(holds.nextStraight(), undefined);
  holds.freeAll();
  assert.equal(holds.nextStraight(), "a3");
  assert.equal(holds.straightCount, 0);
});

test("a listed message comes for what is free of its domains, once, and not when it was tried meanwhile", () => {
  const holds = new Holds<never>();
  for (const domain of ["a", "b"]) holds.hold(domain);
  holds.list("1", 500, new Set(["a", "b"]));
  holds.list("2", 500, new Set(["a"]));
  holds.forget("2");
  holds.free("a");
  assert.deepEqual(holds.nextMessage(), {
    type: "listed",
    id: "1",
    retry: 500,
    free: new Set(["a"]),
    held: new Set(["b"]),
  });
  holds.free("b");
  assert.equal(holds.nextMessage(), undefined);
});

test("what waits for a domain that became free while it was tried is not forgotten", () => {
  const holds = new Holds<string>();
  holds.hold("a");
  holds.free("a");
  holds.park("1", "a");
  holds.list("2", 500, new Set(["a"]));
  assert.deepEqual(holds.nextMessage(), { type: "parked", id: "1" });
  assert.equal(holds.nextMessage()?.id, "2");
});

type Step = readonly ["hold" | "free" | "park" | "straight" | "list" | "next", string, string];

test("whatever the order of events: nothing is lost, nothing comes twice, nothing while held", () => {
  const domain = fc.constantFrom("a", "b", "c");
  const verb = fc.constantFrom<Step[0]>("hold", "free", "park", "straight", "list", "next");
  fc.assert(
    fc.property(fc.array(fc.tuple(verb, domain, domain), { maxLength: 200 }), (steps) => {
      const holds = new Holds<{ id: string; domain: string }>();
      const waiting = new Map<string, ReadonlySet<string>>();
      const held = new Set<string>();
      const came = (id: string | undefined) => {
        if (id === undefined) return false;
        const domains = waiting.get(id);
        assert.ok(domains, `${id} came twice`);
        assert.ok(
          [...domains].some((name) => !held.has(name)),
          `${id} came while held`,
        );
        return waiting.delete(id);
      };
      const next = () => came(holds.nextStraight()?.id) || came(holds.nextMessage()?.id);
      for (const [at, [step, first, second]] of steps.entries()) {
        const id = String(at + 1);
        if (step === "next") next();
        else if (step === "hold") held.add(first) && holds.hold(first);
        else if (step === "free") {
          held.delete(first);
          holds.free(first);
        } else if (step === "list") {
          const domains = new Set([first, second]);
          holds.list(id, 0, domains);
          waiting.set(id, domains);
        } else {
          waiting.set(id, new Set([first]));
          if (step === "park") holds.park(id, first);
          else holds.parkStraight(first, { id, domain: first });
        }
      }
      held.clear();
      holds.freeAll();
      while (next());
      assert.equal(waiting.size, 0);
    }),
  );
});

test("notes are bounded: a message beyond is left to its next retry", () => {
  const holds = new Holds<never>();
  holds.hold("a");
  for (let id = 1; id <= 100_001; id++) holds.list(String(id), 0, new Set(["a"]));
  holds.free("a");
  let count = 0;
  while (holds.nextMessage()) count++;
  assert.equal(count, 100_000);
});
