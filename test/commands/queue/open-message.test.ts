/** A number may be another message's at any moment: what is exported is one message or none. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs, { closeSync, linkSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  contents,
  envelopeOf,
  type OpenMessage,
  openMessage,
} from "../../../commands/queue/open-message.ts";
import { formatTodo } from "../../../qmail/queue/envelope.ts";
import type { MessId } from "../../../qmail/queue/fmtqfn.ts";
import { type QueuedMessage, readMessage } from "../../../qmail/queue/queue-read.ts";
import { SendRig } from "../../qmail/send/_send.ts";

const EXPORT = fileURLToPath(new URL("./_slow-export.ts", import.meta.url));

const bodyOf = (name: string) => `Subject: to ${name}\n\n${`for ${name} alone\n`.repeat(50)}`;

function queued(rig: SendRig, name: string): MessId {
  return rig.todo("a@b", [`${name}@far.test`], bodyOf(name));
}

/** Ends the message and makes one to `name` that has its number, as the queue does it. */
function replace(rig: SendRig, id: MessId, name: string): void {
  for (const file of ["intd", "todo", "info", "remote", "mess"] as const) {
    rmSync(rig.path(file, id), { force: true });
  }
  const made = join(rig.queue, "pid", id);
  writeFileSync(made, bodyOf(name));
  renameSync(made, rig.path("mess", id));
  const recipients = [`${name}@far.test`];
  writeFileSync(rig.path("intd", id), formatTodo({ uid: 7, pid: 8, sender: "a@b", recipients }));
  linkSync(rig.path("intd", id), rig.path("todo", id));
}

/** Does `action` once, right after the file at `path` was opened. */
function onceOpened(t: TestContext, path: string, action: () => void): void {
  const { openSync } = fs;
  const restore = () => {
    fs.openSync = openSync;
    syncBuiltinESMExports();
  };
  fs.openSync = (...args: Parameters<typeof openSync>) => {
    const fd = openSync(...args);
    if (args[0] === path) {
      restore();
      action();
    }
    return fd;
  };
  syncBuiltinESMExports();
  t.after(restore);
}

function look(rig: SendRig, id: MessId): QueuedMessage {
  return readMessage(rig.queue, id) as QueuedMessage;
}

function read(message: OpenMessage | null): { to: readonly string[]; text: string } | null {
  if (!message) return null;
  const text = Buffer.concat([...contents(message)].map((bytes) => Buffer.from(bytes)));
  closeSync(message.fd);
  return { to: envelopeOf(message).left, text: text.toString("latin1") };
}

test("a message that has gone since it was selected is not there, whoever has its number", async () => {
  await using rig = new SendRig();
  const id = queued(rig, "one");
  const which = look(rig, id);
  assert.deepEqual(read(openMessage(rig.queue, which)), {
    to: ["one@far.test"],
    text: bodyOf("one"),
  });
  replace(rig, id, "other");
  assert.equal(openMessage(rig.queue, which), null);
  assert.equal(read(openMessage(rig.queue, look(rig, id)))?.text, bodyOf("other"));
});

for (const file of ["mess", "todo"] as const) {
  test(`the number is another message's when ${file} is open`, async (t) => {
    await using rig = new SendRig();
    const id = queued(rig, "one");
    const which = look(rig, id);
    onceOpened(t, rig.path(file, id), () => replace(rig, id, "other"));
    assert.equal(read(openMessage(rig.queue, which)), null);
  });
}

test("what leaves todo while it is looked at is looked at again", async (t) => {
  await using rig = new SendRig();
  const id = queued(rig, "one");
  const which = look(rig, id);
  onceOpened(t, rig.path("todo", id), () => {
    writeFileSync(rig.path("info", id), "Fa@b\0");
    writeFileSync(rig.path("remote", id), "Done@far.test\0Ttwo@far.test\0");
    unlinkSync(rig.path("intd", id));
    unlinkSync(rig.path("todo", id));
  });
  assert.deepEqual(read(openMessage(rig.queue, which))?.to, ["two@far.test"]);
});

test("a message that never stands still is left out, and no file stays open", async (t) => {
  await using rig = new SendRig();
  const id = queued(rig, "one");
  const which = look(rig, id);
  const { openSync, readFileSync: readWhole } = fs;
  t.after(() => {
    fs.openSync = openSync;
    fs.readFileSync = readWhole;
    syncBuiltinESMExports();
  });
  let looks = 0;
  const opened: number[] = [];
  fs.openSync = (...args: Parameters<typeof openSync>) => {
    const fd = openSync(...args);
    opened.push(fd);
    return fd;
  };
  fs.readFileSync = ((...args: Parameters<typeof readWhole>) => {
    const bytes = readWhole(...args);
    fs.utimesSync(rig.path("todo", id), ++looks, looks);
    return bytes;
  }) as typeof readWhole;
  syncBuiltinESMExports();
  assert.equal(openMessage(rig.queue, which), null);
  assert.ok(looks > 1 && looks < 100);
  for (const fd of opened) assert.throws(() => fs.fstatSync(fd), /EBADF/);
});

/** Reads `output`, and does `action` for each 3 kB: what is not read yet waits in the pipe, and the writer with it. */
async function slowly(output: Readable, action: () => void): Promise<string> {
  let text = "";
  action();
  for await (const bytes of output as AsyncIterable<Buffer>) {
    for (let at = 0; at < bytes.length; at += 3000) action();
    text += bytes.toString("latin1");
  }
  return text;
}

test("a slow export while numbers change hands: no message has another's envelope", async () => {
  await using rig = new SendRig();
  const ids = Array.from({ length: 400 }, (_, at) => queued(rig, `m${at}`));
  const child = spawn(process.execPath, [EXPORT, rig.home, "mbox"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let replaced = 0;
  const text = await slowly(child.stdout, () => {
    for (let count = 0; count < 20; count++) {
      const id = ids[replaced++ % ids.length] as MessId;
      replace(rig, id, `r${replaced}`);
    }
  });
  const entries = text.split(/^From /m).slice(1);
  assert.ok(entries.length > 20, String(entries.length));
  for (const entry of entries) {
    const name = /^X-Envelope-To: <(.*)@far\.test>$/m.exec(entry)?.[1];
    assert.ok(name, entry);
    assert.ok(entry.includes(`\nSubject: to ${name}\n`), entry);
    assert.equal(entry.split(`for ${name} alone\n`).length, 51);
  }
});
