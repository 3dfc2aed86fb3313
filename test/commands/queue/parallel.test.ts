/** A queue read by several threads at once. */

import assert from "node:assert/strict";
import { mkdirSync, rmSync, unlinkSync } from "node:fs";
import { test } from "node:test";
import { emptyCensus, merge } from "../../../commands/queue/census.ts";
import { COUNT_JOB } from "../../../commands/queue/count.ts";
import { LIST_JOB, type Listing } from "../../../commands/queue/list-job.ts";
import { inParts } from "../../../commands/queue/parallel.ts";
import type { MessId } from "../../../qmail/queue/fmtqfn.ts";
import { SendRig } from "../../qmail/send/_send.ts";

const NOW = Date.now();

/** A queue of 100 messages, some of them in todo. */
function fill(rig: SendRig): MessId[] {
  return Array.from({ length: 100 }, (_, at) =>
    at % 10 === 0
      ? rig.todo(`sender${at}@x.test`, ["a@y.test"])
      : rig.made({ sender: `sender${at}@x.test`, remote: ["Ta@y.test", "Db@z.test"] }),
  );
}

function listing(rig: SendRig, fields: Partial<Listing> = {}) {
  const style = { now: NOW, width: 80, colour: false };
  const options = { home: rig.home, selection: {}, style, json: true, leading: null, text: null };
  return { queue: rig.queue, job: LIST_JOB, options: { ...options, ...fields }, small: 0 };
}

async function ids(rig: SendRig, fields: Partial<Listing> = {}): Promise<MessId[]> {
  const found: MessId[] = [];
  for await (const { text } of inParts(listing(rig, fields))) {
    for (const line of text.split("\n")) found.push((JSON.parse(line) as { id: MessId }).id);
  }
  return found.sort();
}

test("every message comes once", async () => {
  await using rig = new SendRig();
  const all = fill(rig).sort();
  assert.deepEqual(await ids(rig), all);
  assert.equal((await ids(rig, { selection: { from: ["sender7?@*"] } })).length, 10);
});

test("what the threads have counted adds up", async () => {
  await using rig = new SendRig();
  fill(rig);
  const census = emptyCensus();
  const options = { home: rig.home, selection: {}, now: NOW };
  for await (const share of inParts({ queue: rig.queue, job: COUNT_JOB, options, small: 0 })) {
    merge(census, share);
  }
  const { messages, left, done } = census.all;
  assert.deepEqual({ messages, left, done }, { messages: 100, left: 100, done: 90 });
  assert.deepEqual([census.senders.size, census.domains.size], [100, 1]);
});

test("who has had enough ends it; what any thread finds odd is told, and what fails is thrown", async () => {
  await using rig = new SendRig();
  const all = fill(rig);
  for await (const { count } of inParts(listing(rig))) {
    assert.ok(count > 0);
    break;
  }
  const odd = all.filter((each) => rig.exists("remote", each)).slice(0, 8);
  for (const id of odd) {
    unlinkSync(rig.path("remote", id));
    mkdirSync(rig.path("remote", id));
  }
  const told: MessId[] = [];
  for await (const _ of inParts({ ...listing(rig), odd: ({ id }) => told.push(id) }));
  assert.deepEqual(told.sort(), odd.sort());
  rmSync(`${rig.queue}/info/22`, { recursive: true });
  await assert.rejects(ids(rig), /ENOENT/);
});
