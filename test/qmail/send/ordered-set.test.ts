import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OrderedSet } from "../../../qmail/send/ordered-set.ts";

test("as a list does it: what is added comes out in order, but for what was taken out of the middle", () => {
  const step = fc.tuple(fc.constantFrom("add", "delete", "shift"), fc.nat(9));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const set = new OrderedSet<number>();
      let list: number[] = [];
      for (const [verb, item] of steps) {
        if (verb === "add") {
          set.add(item);
          if (!list.includes(item)) list.push(item);
        } else if (verb === "delete") {
          assert.equal(set.delete(item), list.includes(item));
          list = list.filter((each) => each !== item);
        } else assert.equal(set.shift(), list.shift());
        assert.equal(set.size, list.length);
      }
    }),
  );
});

test("next goes round", () => {
  const set = new OrderedSet<string>();
  assert.equal(set.next(), undefined);
  for (const item of ["a", "b"]) set.add(item);
  assert.deepEqual([set.next(), set.next(), set.next()], ["a", "b", "a"]);
});
