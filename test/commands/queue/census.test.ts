import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  add,
  count,
  emptyCensus,
  merge,
  OTHERS,
  tallyOf,
  top,
} from "../../../commands/queue/census.ts";
import type { QueuedMessage } from "../../../qmail/queue/queue-read.ts";

const NOW = Date.UTC(2026, 10, 24);
const NAMES = fc.constantFrom("", "a@x.test", "b@X.test", "c@y.test", "nowhere");

const MESSAGES: fc.Arbitrary<QueuedMessage[]> = fc.array(
  fc.record({
    id: fc.integer({ min: 1 }).map(String),
    size: fc.nat(),
    birth: fc.integer({ min: NOW - 1_000_000_000, max: NOW + 5000 }),
    made: fc.nat(),
    sender: NAMES,
    state: fc.constantFrom("preprocessed" as const, "todo" as const),
    bouncing: fc.boolean(),
    recipients: fc.array(
      fc.record({
        channel: fc.constantFrom("local" as const, "remote" as const),
        address: NAMES,
        done: fc.boolean(),
      }),
    ),
    retry: fc.constant({ local: NOW - 1, remote: NOW + 1 }),
  }),
);

function censusOf(messages: readonly QueuedMessage[]) {
  const census = emptyCensus();
  for (const message of messages) count(census, message, NOW);
  return census;
}

test("what several have counted adds up to what one would have", () => {
  fc.assert(
    fc.property(MESSAGES, MESSAGES, (some, others) => {
      const census = censusOf(some);
      merge(census, censusOf(others));
      assert.deepEqual(census, censusOf([...some, ...others]));
    }),
  );
});

test("every message has one age and is one sender's; recipients left are counted once", () => {
  fc.assert(
    fc.property(MESSAGES, (messages) => {
      const { all, ages, senders, domains } = censusOf(messages);
      const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0);
      assert.equal(sum(ages), messages.length);
      assert.equal(sum([...senders.values()].map((tally) => tally.messages)), messages.length);
      assert.equal(sum([...domains.values()].map((tally) => tally.left)), all.left);
      assert.equal(all.left + all.done, sum(messages.map((each) => each.recipients.length)));
    }),
  );
});

test("names are told apart up to a limit; the rest comes last", () => {
  const tallies = new Map();
  const message = { size: 1, birth: NOW } as QueuedMessage;
  for (let at = 0; at < 100_010; at++) add(tallyOf(tallies, String(at)), message, 1);
  add(tallyOf(tallies, "7"), message, 1);
  assert.equal(tallies.get(OTHERS).messages, 10);
  assert.deepEqual(
    top(tallies, 2).map(([name, { messages }]) => [name, messages]),
    [
      ["7", 2],
      ["0", 1],
      [OTHERS, 10],
    ],
  );
});
