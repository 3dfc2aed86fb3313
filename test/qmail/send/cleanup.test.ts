import assert from "node:assert/strict";
import { existsSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { fmtqfn, type MessId } from "../../../qmail/queue/fmtqfn.ts";
import { cleanup } from "../../../qmail/send/cleanup.ts";
import { QueueFiles } from "../../../qmail/send/queue-files.ts";
import { makeQueue } from "../queue/_queue.ts";

const NOW = 1_000_000_000;
const OLD = NOW - 37 * 3600;

async function clean(
  queue: string,
  busy: (id: MessId) => boolean = () => false,
): Promise<MessId[]> {
  const cleaned: MessId[] = [];
  await cleanup({
    files: new QueueFiles(queue, new GroupSync(), true),
    now: () => NOW,
    cleanMess: async ({ id, made }) => {
      assert.equal(made, OLD * 1e6);
      cleaned.push(id);
    },
    busy,
    pause: () => Promise.reject(new Error("cannot be read")),
    active: () => true,
  });
  return cleaned.sort();
}

function make(queue: string, directory: Parameters<typeof fmtqfn>[0], id: MessId): void {
  const path = join(queue, fmtqfn(directory, id));
  writeFileSync(path, "");
  utimesSync(path, OLD, OLD);
}

test("an old mess file without info and todo is garbage", async () => {
  using made = makeQueue();
  for (const id of ["11", "12", "13", "14"]) make(made.queue, "mess", id);
  make(made.queue, "info", "12");
  make(made.queue, "todo", "13");
  utimesSync(join(made.queue, fmtqfn("mess", "14")), NOW - 35 * 3600, OLD);
  assert.deepEqual(await clean(made.queue), ["11"]);
});

test("one that is just being ended is left alone: its number may be another message's by now", async () => {
  using made = makeQueue();
  make(made.queue, "mess", "11");
  make(made.queue, "mess", "12");
  assert.deepEqual(await clean(made.queue, (id) => id === "12"), ["11"]);
});

test("what came back of a message that is gone goes", async () => {
  using made = makeQueue();
  for (const directory of ["info", "local", "remote", "bounce"] as const) {
    make(made.queue, directory, "11");
  }
  make(made.queue, "mess", "12");
  make(made.queue, "info", "12");
  make(made.queue, "local", "12");
  assert.deepEqual(await clean(made.queue), []);
  assert.deepEqual(made.files(), ["info/12/12", "local/12/12", "mess/12/12"]);
});

test("a file in the making that a crash left goes, but not one that is being made", async () => {
  using made = makeQueue();
  const path = (id: MessId) => join(made.queue, `${fmtqfn("local", id)}.new`);
  for (const id of ["11", "12"]) writeFileSync(path(id), "Tjoe@x\0");
  await clean(made.queue, (id) => id === "12");
  assert.deepEqual([existsSync(path("11")), existsSync(path("12"))], [false, true]);
});
