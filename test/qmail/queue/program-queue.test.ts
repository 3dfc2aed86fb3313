/** The queue behind a program: what a QMAILQUEUE filter may do with its descriptors. */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { programQueue } from "../../../qmail/queue/program-queue.ts";
import { queueFailure } from "../../../qmail/queue/qmail.ts";

const directory = mkdtempSync(join(tmpdir(), "qmailctl-program-queue-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const got = join(directory, "got");

async function queue(script: string, message = "To: x\n\nbody\n") {
  const program = join(directory, "filter");
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);
  rmSync(got, { force: true });
  const qmail = programQueue(program, { PATH: process.env.PATH, GOT: got }).open();
  for (const line of message.split(/(?<=\n)/)) qmail.put(Buffer.from(line, "latin1"));
  const result = await qmail.close("s@x.y", ["a@b", "c@d"]);
  return { result, got: existsSync(got) ? readFileSync(got, "latin1") : null };
}

const ENVELOPE = "Fs@x.y\0Ta@b\0Tc@d\0\0";
const ALL = `To: x\n\nbody\n${ENVELOPE}`;

/** Every way in which a filter may read what it is given. */
for (const script of [
  'exec 5<&1; cat >"$GOT"; cat <&5 >>"$GOT"',
  'exec 3>"$GOT"; cat /dev/stdin >&3; tee -a "$GOT" </dev/fd/1 >/dev/null',
  'cat /proc/self/fd/0 >"$GOT"; exec 5<&1; cat /proc/self/fd/5 >>"$GOT"',
  'exec 5<&1; cat /dev/fd/0 | cat >"$GOT"; cat /dev/fd/5 >>"$GOT"',
]) {
  test(script, async () => {
    const { result, got } = await queue(script);
    assert.equal(result.ok, true);
    assert.equal(got, ALL);
  });
}

test("a filter may seek in the message", async () => {
  const { got } = await queue(
    "perl -e 'while (<STDIN>) {} seek STDIN, 0, 0; print <STDIN>' >\"$GOT\"",
  );
  assert.equal(got, "To: x\n\nbody\n");
});

test("an empty message is one", async () => {
  assert.equal((await queue('cat >"$GOT"', "")).got, "");
});

for (const fd of [4, 6]) {
  for (const to of [`>&${fd}`, `>/dev/fd/${fd}`]) {
    test(`why a filter refuses is what it writes ${to}`, async () => {
      const { result } = await queue(`echo "Dno such mail" ${to}; exit 82`);
      const failed = { ok: false, code: 82, permanent: true, text: "no such mail" };
      assert.deepEqual(result, failed);
    });
  }
}

test("a program that is not there, or crashes", async () => {
  const qmail = programQueue(join(directory, "none")).open();
  qmail.put(Buffer.from("x"));
  assert.deepEqual(await qmail.close("", ["a@b"]), queueFailure(120));
  assert.deepEqual((await queue("kill -9 $$")).result, queueFailure(81));
});

test("what is given up starts no program", async () => {
  const qmail = programQueue("/bin/false").open();
  qmail.put(Buffer.from("x"));
  qmail.abort();
});
