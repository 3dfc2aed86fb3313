/** Messages with wrong names get the right ones, whatever the old ones were and wherever a repair is killed. */

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { fmtqfn } from "../../../../qmail/queue/fmtqfn.ts";
import { KINDS } from "../../../../qmail/queue/repair/survey.ts";
import { IN_MEMORY, makeTree, STATES, type State, type Tree } from "./_tree.ts";

class Killed extends Error {}

const NAMES = Object.keys(STATES) as State[];

/** A queue whose names are moved round: each is the right one of another message, or of none. */
function shuffled(states: readonly State[], { by = 1, split = 23, spare = 0 } = {}): Tree {
  const tree = makeTree(IN_MEMORY);
  const ids = states.map((state, at) => tree.add(`m${at}`, state));
  const names = [...ids, ...Array.from({ length: spare }, (_, at) => String(900_000_001 + at))];
  // In two steps, for a name must be free first.
  for (const [at, id] of ids.entries()) tree.rename(id, String(800_000_001 + at));
  for (const at of ids.keys()) {
    tree.rename(String(800_000_001 + at), names[(at + by) % names.length] as string, split);
  }
  return tree;
}

/** Every message is there, with the files it had and no others, under its right name. */
function assertWhole(tree: Tree, states: readonly State[]): void {
  const expected = new Map<string, readonly string[]>();
  for (const [name, tags] of tree.tags()) {
    assert.equal(tags.size, 1, `${name} is made of ${[...tags]}`);
    const [tag = ""] = tags;
    assert.ok(!expected.has(tag), `${tag} is there twice`);
    const state = states[Number(tag.slice(1))] as State;
    const kinds = ["mess", ...STATES[state]] as const;
    expected.set(tag, kinds);
    const there = KINDS.filter((kind) => existsSync(tree.path(`queue/${fmtqfn(kind, name)}`)));
    assert.deepEqual(there.toSorted(), [...kinds].sort(), tag);
    assert.equal(String(statSync(tree.path(`queue/${fmtqfn("mess", name)}`)).ino), name);
  }
  assert.equal(expected.size, states.length);
}

test("a whole queue has no faults, whatever the states of its messages", () => {
  using tree = shuffled(NAMES, { by: 0 });
  assert.deepEqual(tree.faults(), []);
  assertWhole(tree, NAMES);
});

test("names in a circle, in a chain, and of another split are put right", () => {
  for (const options of [
    {},
    { by: 2 },
    { spare: 1 },
    { spare: 9, by: 9 },
    { split: 7 },
    { split: 101 },
  ]) {
    using tree = shuffled(NAMES, options);
    assert.equal(tree.faults().filter((fault) => fault.startsWith("place")).length, NAMES.length);
    tree.repair();
    assert.deepEqual(tree.faults(), []);
    assertWhole(tree, NAMES);
    assert.ok(!tree.files().some((file) => file.startsWith("repair")));
    assert.ok(!existsSync(tree.path("queue/mess/30")));
  }
});

/** Repairs, killed before each step whose number is in `kills`, counted from the last kill. */
function repairKilled(tree: Tree, kills: readonly number[], atKill: () => void): boolean {
  let killed = false;
  for (const kill of [...kills, Number.POSITIVE_INFINITY]) {
    let steps = 0;
    try {
      tree.repair(() => {
        if (steps++ === kill) throw new Killed();
      });
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      killed = true;
      atKill();
    }
  }
  return killed;
}

/** While qmail-send can start, every message must have all its files under one name. */
function assertSafe(tree: Tree, states: readonly State[]): void {
  if (!existsSync(tree.path("queue/lock/sendmutex"))) return;
  const names = [...tree.tags()];
  for (const [name, tags] of names) assert.equal(tags.size, 1, `${name}: ${[...tags]}`);
  assert.equal(new Set(names.map(([, [tag]]) => tag)).size, states.length);
  assert.equal(names.length, states.length, "a message has two names");
}

test("killed before any step and run again, a repair loses and mixes nothing", () => {
  for (let kill = 0, killed = true; killed; kill++) {
    using tree = shuffled(NAMES, { spare: kill % 3, split: kill % 2 === 0 ? 23 : 5 });
    killed = repairKilled(tree, [kill], () => assertSafe(tree, NAMES));
    assert.deepEqual(tree.faults(), [], `killed at ${kill}`);
    assertWhole(tree, NAMES);
    assert.ok(kill < 1000);
  }
});

test("killed again and again, too", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 5 }),
      fc.record({ by: fc.nat(6), spare: fc.nat(3), split: fc.constantFrom(1, 5, 23, 31) }),
      fc.array(fc.nat(90), { maxLength: 4 }),
      (states, options, kills) => {
        using tree = shuffled(states, options);
        repairKilled(tree, kills, () => assertSafe(tree, states));
        assert.deepEqual(tree.faults(), []);
        assertWhole(tree, states);
      },
    ),
    { numRuns: 30 },
  );
});
