import assert from "node:assert/strict";
import { createReadStream, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { CommandError } from "../../../commands/output.ts";
import { queueExport } from "../../../commands/queue/export.ts";
import { queueImport } from "../../../commands/queue/import.ts";
import { type ImportedMessage, importedMessages } from "../../../commands/queue/import-forms.ts";
import { QQ } from "../../../qmail/exit.ts";
import { type Qmail, queueFailure } from "../../../qmail/queue/qmail.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { Captured } from "../_output.ts";

async function exported(rig: SendRig, format: string): Promise<string> {
  const file = join(rig.home, `out.${format}.${Math.random()}`);
  await queueExport({ home: rig.home, selection: {}, format, file, output: new Captured() });
  return file;
}

type Found = Omit<ImportedMessage, "label"> & { readonly text: string };

/** What is in `file`, read in pieces of `size` bytes, by sender. */
async function found(rig: SendRig, file: string, size: number): Promise<Found[]> {
  const spool = join(rig.home, "spool");
  const all: Found[] = [];
  const input = createReadStream(file, { highWaterMark: size }) as AsyncIterable<Buffer>;
  for await (const { label, ...message } of importedMessages(input, spool)) {
    assert.match(label, /^message \d+/);
    all.push({ ...message, text: readFileSync(spool, "latin1") });
  }
  return all.toSorted((a, b) => (a.sender < b.sender ? -1 : 1));
}

const BIRTH = 1_700_000_000;

test("tar: envelope, who is left, the bounce so far, and the text byte for byte", async () => {
  await using rig = new SendRig();
  const body = "Subject: x\n\n>From \xff\0\nno newline";
  const settled = rig.made({
    sender: "a\xe4@from.test",
    body,
    local: ["Djoe@near.test", "Tann\n@near.test"],
    remote: ["Tbob@to.test"],
    bounce: "<x@y>:\nno\n\n",
    birth: BIRTH,
    retry: BIRTH + 900,
  });
  writeFileSync(rig.path("mess", settled), Buffer.from(body, "latin1"));
  rig.todo("", ["eve@to.test"], "short\n");
  const file = await exported(rig, "tar");
  const [fresh, first, ...more] = await found(rig, file, 100);
  assert.deepEqual(more, []);
  assert.deepEqual(first, {
    sender: "a\xe4@from.test",
    recipients: [
      { address: "ann\n@near.test", channel: "local" },
      { address: "bob@to.test", channel: "remote" },
    ],
    bounce: "<x@y>:\nno\n\n",
    birth: BIRTH,
    text: body,
  });
  assert.equal(fresh?.sender, "");
  assert.deepEqual(fresh?.recipients, [{ address: "eve@to.test", channel: null }]);
  assert.equal(fresh?.bounce, "");
});

test("mbox: any text comes back as it was, but for a newline at its end", async () => {
  const line = fc.constantFrom(
    "",
    "x",
    "From a",
    ">From b",
    ">>From c",
    "From",
    "\xff\0",
    "X-Envelope-To: <z>",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(line, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 50 }),
      async (bodies, size) => {
        await using rig = new SendRig();
        for (const [at, lines] of bodies.entries()) {
          const id = rig.todo(`s${at}@from.test`, ["eve@to.test", "bob@to.test"], "");
          const text = `Subject: x\n${lines.join("\n")}`;
          writeFileSync(rig.path("mess", id), Buffer.from(text, "latin1"));
        }
        const all = await found(rig, await exported(rig, "mbox"), size);
        assert.deepEqual(
          all.map(({ sender, text }) => [sender, text]),
          bodies.map((lines, at) => {
            const text = `Subject: x\n${lines.join("\n")}`;
            return [`s${at}@from.test`, text.endsWith("\n") ? text : `${text}\n`];
          }),
        );
        for (const { recipients } of all) {
          assert.deepEqual(
            recipients.map(({ address }) => address),
            ["eve@to.test", "bob@to.test"],
          );
        }
      },
    ),
    { numRuns: 12 },
  );
});

/** A queue that keeps what it is given, and refuses from the message `full` on. */
function fakeQueue(full = Number.POSITIVE_INFINITY) {
  const taken: { sender: string; recipients: readonly string[]; text: string }[] = [];
  const open = (): Qmail => {
    let text = "";
    return {
      full: false,
      drained: async () => {},
      put(bytes) {
        text += bytes.toString("latin1");
      },
      abort() {},
      async close(sender, recipients) {
        if (taken.length >= full) return queueFailure(QQ.writeError);
        taken.push({ sender, recipients, text });
        return { ok: true, qp: taken.length };
      },
    };
  };
  return { taken, open };
}

test("who is left gets the message, the sender the bounce that was begun; where it fails is said", async () => {
  await using rig = new SendRig();
  writeFileSync(join(rig.home, "control/virtualdomains"), "virt.test:ann\n");
  mkdirSync(join(rig.home, "service/qmail-send"), { recursive: true });
  writeFileSync(join(rig.home, "service/qmail-send/run"), "");
  const envelope = { body: "Subject: x\n\ntext\n", birth: BIRTH, retry: BIRTH };
  rig.made({
    ...envelope,
    sender: "a@from.test",
    local: ["Djoe@near.test", "Tann-list@virt.test"],
    bounce: "<x@y>:\nno such user\n\n",
  });
  const tar = await exported(rig, "tar");
  rig.made({ ...envelope, sender: "b@from.test", remote: ["Tbob@to.test"] });
  rig.made({ ...envelope, sender: "c@from.test", remote: ["Tbob@to.test"] });
  const mbox = await exported(rig, "mbox");

  async function imported(
    file: string,
    options: { full?: number; skip?: number; dryRun?: boolean },
  ) {
    const queue = fakeQueue(options.full);
    const output = new Captured();
    const rest = { home: rig.home, input: process.stdin, skip: 0, dryRun: false, ...options };
    await queueImport({ ...rest, file, output, queue });
    return { taken: queue.taken, notes: output.notes };
  }

  const { taken, notes } = await imported(tar, {});
  assert.equal(notes, "Imported 1 message, 1 bounce that was begun.\n");
  const [bounce, message] = taken;
  assert.deepEqual([bounce?.sender, bounce?.recipients], ["", ["a@from.test"]]);
  assert.match(bounce?.text ?? "", /<x@y>:\nno such user\n[\s\S]*Subject: x\n\ntext\n$/);
  assert.deepEqual(message, {
    sender: "a@from.test",
    recipients: ["list@virt.test"],
    text: envelope.body,
  });
  assert.deepEqual((await imported(tar, { dryRun: true })).taken, []);

  await assert.rejects(imported(mbox, { full: 1 }), (error: CommandError) => {
    assert.match(error.message, /cannot queue message 2: qq write error or disk full/);
    assert.deepEqual(error.hints, ["the first 1 are done: go on behind them with --skip 1"]);
    return true;
  });
  assert.equal((await imported(mbox, { skip: 1 })).taken.length, 2);
});

test("what is cut off, or something else, is an error that says so", async () => {
  await using rig = new SendRig();
  rig.todo("a@from.test", ["eve@to.test"], "text\n".repeat(1000));
  const file = await exported(rig, "tar");
  truncateSync(file, 3000);
  await assert.rejects(found(rig, file, 512), /it ends in mess\/\d+/);
  truncateSync(file, 700);
  await assert.rejects(found(rig, file, 512), /has no end|cut off/);
  writeFileSync(file, "no archive ".repeat(100));
  await assert.rejects(found(rig, file, 64), /neither an archive nor an mbox/);
  writeFileSync(file, "From somebody Thu Jan  1 00:00:00 1970\nSubject: x\n\ny\n\n");
  await assert.rejects(found(rig, file, 64), /message 1 has no X-Envelope-From/);
  writeFileSync(file, "");
  assert.deepEqual(await found(rig, file, 64), []);
});
