/** qmail-queue while a qmail-send that is not ours has the queue: flock(1) for its lock, cat(1) at its trigger. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, readFileSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { parseTodo } from "../../../qmail/queue/envelope.ts";
import { checkQueue, SendRig } from "../send/_send.ts";

/** Runs qmail-queue as `uid`, with a umask that hides its files from others. */
async function queue(home: string, uid?: number): Promise<number | null> {
  const command = 'umask 077; exec "$0" "$1"';
  const child = spawn("sh", ["-c", command, process.execPath, programPath("queue/qmail-queue")], {
    env: { PATH: process.env.PATH, QMAILHOME: home },
    stdio: ["pipe", "pipe", "inherit"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  child.stdin.end("Subject: x\n\nbody\n");
  (child.stdout as unknown as NodeJS.WritableStream).end("Fa@from.test\0Tjoe@mail.test\0\0");
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
}

/** Holds lock/sendmutex and reads lock/trigger, as qmail-send does, until the test ends. */
async function foreignSend(t: TestContext, rig: SendRig): Promise<ChildProcess> {
  const script = "exec 3<> lock/trigger; echo ready; exec cat <&3";
  const child = spawn("flock", ["-x", "-n", "-o", "lock/sendmutex", "sh", "-c", script], {
    cwd: rig.queue,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  t.after(() => stop(child));
  const [ready] = await once(child.stdout, "data");
  assert.equal(String(ready), "ready\n");
  return child;
}

/** flock(1) and what it has started. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-(child.pid as number), "SIGTERM");
  await once(child, "exit");
}

test("a foreign qmail-send is fed: the message is in the queue, the trigger is pulled, and ours takes over later", async (t) => {
  await using rig = new SendRig();
  const foreign = await foreignSend(t, rig);
  const pulled = once(foreign.stdout as NodeJS.ReadableStream, "data");
  assert.equal(await queue(rig.home), 0);
  assert.deepEqual([...((await pulled)[0] as Buffer)], [0]);
  assert.deepEqual(readdirSync(join(rig.home, "drop")), []);
  const [id = ""] = readdirSync(join(rig.queue, "todo"));
  const { sender, recipients, uid } = parseTodo(readFileSync(rig.path("todo", id)));
  assert.deepEqual(
    [sender, recipients, uid],
    ["a@from.test", ["joe@mail.test"], process.getuid?.()],
  );
  assert.match(
    rig.read("mess", id),
    /^Received: \(qmail \d+ invoked by uid \d+\); .*\nSubject: x\n\nbody\n$/,
  );
  assert.equal(statSync(rig.path("mess", id)).mode & 0o777, 0o644);
  checkQueue(rig.queue);
  // Ours does not start beside it.
  rig.launch();
  assert.equal(await rig.exit(), 111);
  assert.deepEqual(rig.lines, ["alert: cannot start: qmail-send is already running"]);
  await stop(foreign);
  await rig.start();
  assert.equal((await rig.order()).messid, id);
});

test("trouble with the queue is said with qmail-queue's exit code, and nothing is left", async (t) => {
  await using rig = new SendRig();
  await foreignSend(t, rig);
  rmdirSync(join(rig.queue, "todo"));
  assert.equal(await queue(rig.home), 66);
  assert.deepEqual(readdirSync(join(rig.home, "drop")), []);
  assert.equal(rig.messages(), 0);
  assert.deepEqual(readdirSync(join(rig.queue, "intd")), []);
});

test("who is not qmailq leaves the message in drop, for ours", {
  skip: process.getuid?.() !== 0 && "needs root, to be somebody else",
}, async (t) => {
  await using rig = new SendRig();
  chmodSync(rig.home, 0o755);
  chmodSync(join(rig.home, "drop"), 0o3777);
  await foreignSend(t, rig);
  assert.equal(await queue(rig.home, 65_534), 0);
  assert.equal(readdirSync(join(rig.home, "drop")).length, 1);
  assert.equal(rig.messages(), 0);
});
