import assert from "node:assert/strict";
import { test } from "node:test";
import type { Held, HeldFile } from "../../../qmail/queue/held.ts";
import { HeldMessages } from "../../../qmail/send/held-messages.ts";
import { QueueFileError, type QueueFiles } from "../../../qmail/send/queue-files.ts";

test("held is what is noted of that very message, and what is noted and cannot be looked at", () => {
  const noted: Held = new Map([
    ["11", 1000],
    ["12", 1000],
    ["13", 1000],
    ["14", 1000],
  ]);
  let kept: Held | null = null;
  const file = {
    read: () => noted,
    rewrite: (held: Held) => {
      kept = new Map(held);
    },
  };
  const made = (id: string) => {
    if (id === "13") throw new QueueFileError("unable to stat mess/13/13");
    return { "11": 1000, "12": 1001 }[id] ?? null;
  };
  const held = new HeldMessages(file as HeldFile, { made } as unknown as QueueFiles);
  assert.equal(held.read(), null);
  const found = ["11", "12", "13", "14", "15"].filter((id) => held.has(id));
  assert.deepEqual(found, ["11", "13"]);
  assert.equal(held.tidy(), null);
  // What could not be looked at is not forgotten either.
  assert.deepEqual([...(kept ?? new Map())].sort(), [
    ["11", 1000],
    ["13", 1000],
  ]);
});
