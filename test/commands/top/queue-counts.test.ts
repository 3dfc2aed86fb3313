import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QueueCounter } from "../../../commands/top/queue-counts.ts";
import { QueueMessages } from "../../../commands/top/queue-messages.ts";
import { fmtqfn, SPLIT } from "../../../qmail/queue/fmtqfn.ts";

async function withQueue(work: (queue: string) => Promise<void>): Promise<void> {
  const queue = mkdtempSync(join(tmpdir(), "qmailctl-top-"));
  try {
    for (const name of ["todo", "bounce"]) mkdirSync(join(queue, name));
    for (const name of ["mess", "info", "local", "remote"]) {
      for (let split = 0; split < SPLIT; split++) {
        mkdirSync(join(queue, name, String(split)), { recursive: true });
      }
    }
    await work(queue);
  } finally {
    rmSync(queue, { recursive: true, force: true });
  }
}

function add(queue: string, number: number): void {
  const id = String(number);
  writeFileSync(join(queue, fmtqfn("mess", id)), "Subject: x\n\n");
  writeFileSync(join(queue, fmtqfn("info", id)), `Fann${id}@a.test\0`);
  writeFileSync(join(queue, fmtqfn("remote", id)), `Tbob${id}@b.test\0`);
}

test("counts what is there, and again when it has changed", async () => {
  await withQueue(async (queue) => {
    for (let id = 1; id <= 100; id++) add(queue, id);
    writeFileSync(join(queue, fmtqfn("local", "7")), "Tx\0");
    writeFileSync(join(queue, "todo/200"), "");
    writeFileSync(join(queue, "bounce/9"), "");
    writeFileSync(join(queue, "todo/no-number"), "");
    const counter = new QueueCounter(queue);
    // The clock of the test: far enough on each time for another count.
    let now = Date.now();
    const count = async () => {
      now += 100_000;
      await counter.count(() => now);
      return counter.counts;
    };
    assert.deepEqual(await count(), { todo: 1, info: 100, local: 1, remote: 100, bounce: 1 });
    for (let id = 101; id <= 130; id++) add(queue, id);
    unlinkSync(join(queue, fmtqfn("local", "7")));
    // However coarse the clock of the filesystem: it has gone on.
    const later = new Date(Date.now() + 60_000);
    for (const name of ["info", "local", "remote"]) {
      for (let split = 0; split < SPLIT; split++) {
        utimesSync(join(queue, name, String(split)), later, later);
      }
    }
    assert.deepEqual(await count(), { todo: 1, info: 130, local: 0, remote: 130, bounce: 1 });
  });
});

test("a directory that has not changed for a while is not read again", async () => {
  await withQueue(async (queue) => {
    add(queue, 1);
    const counter = new QueueCounter(queue);
    const long = new Date(Date.now() - 3_600_000);
    for (const name of ["info/1", "remote/1"]) utimesSync(join(queue, name), long, long);
    let now = Date.now();
    await counter.count(() => now);
    // Unseen: as if it were old.
    writeFileSync(join(queue, "info/1/24"), "");
    utimesSync(join(queue, "info/1"), long, long);
    now += 100_000;
    await counter.count(() => now);
    assert.equal(counter.counts?.info, 1);
  });
});

test("counting rests between", async () => {
  await withQueue(async (queue) => {
    const counter = new QueueCounter(queue);
    let now = 1000;
    // Every look at this clock takes a tenth of a second.
    await counter.count(() => (now += 100));
    const after = now;
    add(queue, 1);
    await counter.count(() => now);
    assert.equal(counter.counts?.info, 0);
    now = after + 71 * 100 * 40;
    await counter.count(() => now);
    assert.equal(counter.counts?.info, 1);
  });
});

test("a queue that cannot be read has no counts", async () => {
  const counter = new QueueCounter("/nonexistent/queue");
  await counter.count(Date.now);
  assert.equal(counter.counts, null);
  assert.match(counter.trouble ?? "", /ENOENT/);
});

test("messages that are wanted, at most so many, and not too often", async () => {
  await withQueue(async (queue) => {
    for (let id = 1; id <= 120; id++) add(queue, id);
    const list = new QueueMessages(queue, 100);
    await list.read(Date.now, "", () => true);
    assert.equal(list.messages.length, 100);
    assert.ok(list.more);
    await list.read(Date.now, "77", ({ sender }) => sender === "ann77@a.test");
    assert.deepEqual(
      list.messages.map(({ id }) => id),
      ["77"],
    );
    assert.ok(!list.more);
    let asked = 0;
    const counted = () => {
      asked++;
      return true;
    };
    await list.read(() => 0, "77", counted);
    assert.equal(asked, 0);
    list.changed();
    await list.read(Date.now, "77", counted);
    assert.ok(asked > 0);
  });
});
