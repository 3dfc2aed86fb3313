import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import type { Report } from "../../../qmail/spawn/report.ts";
import { type Watch, WorkerProcess } from "../../../qmail/spawn/worker-process.ts";
import { formatOrder, WORK } from "../../../qmail/spawn/worker-protocol.ts";

const PROGRAM = fileURLToPath(new URL("./_worker.ts", import.meta.url));
const CRASHED: Report = { status: "Z", text: "crashed\n" };
const nothing = () => ({ size: 0, inline: Buffer.alloc(0), fd: -1 });

function worker(watch: Watch) {
  const gone = Promise.withResolvers<void>();
  const options = { program: PROGRAM, args: [], env: process.env, gone: () => gone.resolve() };
  const it = new WorkerProcess({ ...options, watch }, CRASHED);
  const deliver = (what: string) =>
    new Promise<Report>((resolve) => it.start([what], nothing, { done: resolve }));
  return { it, deliver, gone: gone.promise };
}

test("a worker whose loop stands still is ended, and all that it has is to be tried again", async () => {
  const w = worker({ everyMs: 20, unanswered: 5 });
  const reports = [w.deliver("wait"), w.deliver("spin"), w.deliver("after it")];
  assert.deepEqual(await Promise.all(reports), [CRASHED, CRASHED, CRASHED]);
  await w.gone;
  await w.it.exited;
});

test("a worker that waits for somebody else answers", async () => {
  const child = spawn(process.execPath, [PROGRAM], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const pong = Promise.withResolvers<void>();
  const link = new Link(child.stdio[3] as Socket, {
    hears: heard({ pong: WORK.pong }, { pong: () => pong.resolve() }),
    close: () => {},
  });
  link.send(WORK.start, 1, ...formatOrder({ fields: ["wait"], size: 0, inline: Buffer.alloc(0) }));
  link.send(WORK.ping, 0);
  await pong.promise;
  link.end();
  await once(child, "exit");
});

test("pings that are answered are no reason to end anybody", async () => {
  const w = worker({ everyMs: 1, unanswered: 1_000_000 });
  assert.deepEqual(await w.deliver("x"), { status: "K", text: "x\n" });
  w.it.end();
  await w.it.exited;
});
