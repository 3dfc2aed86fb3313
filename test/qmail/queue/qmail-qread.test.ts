import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { rmSync, unlinkSync } from "node:fs";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { SendRig } from "../send/_send.ts";

function program(name: string, home: string): string {
  const env = { PATH: process.env.PATH, QMAILHOME: home };
  return execFileSync(process.execPath, [programPath(`queue/${name}`)], {
    env,
    encoding: "latin1",
  });
}

test("qmail-qread prints what C's prints; qmail-qstat counts", async () => {
  await using rig = new SendRig();
  assert.equal(program("qmail-qread", rig.home), "");
  const first = rig.made({
    sender: "a\xe4 b@from.test",
    local: ["Tjoe@mail.test", "Dann\t@mail.test"],
    remote: ["Tx@far.test"],
    bounce: "<y@far.test>:\nno\n\n",
    birth: 1_000_000_000,
  });
  const second = rig.made({ sender: "", birth: 1_700_000_000 });
  rig.todo("new@from.test", ["x@mail.test"]);
  const texts = new Map([
    [
      first,
      `9 Sep 2001 01:46:40 GMT  #${first}  5  <a_ b@from.test>  bouncing\n` +
        "\tlocal\tjoe@mail.test\n  done\tlocal\tann_@mail.test\n\tremote\tx@far.test\n",
    ],
    [second, `14 Nov 2023 22:13:20 GMT  #${second}  5  <> \n`],
  ]);
  const bySplit = [first, second].toSorted((a, b) => (Number(a) % 23) - (Number(b) % 23));
  assert.equal(program("qmail-qread", rig.home), bySplit.map((id) => texts.get(id)).join(""));
  assert.equal(
    program("qmail-qstat", rig.home),
    "messages in queue: 3\nmessages in queue but not yet preprocessed: 1\n",
  );
});

test("qmail-qread warns of what it cannot look at, and says what is fatal where C's does: on standard output", async () => {
  await using rig = new SendRig();
  const id = rig.made({ sender: "a@from.test", birth: 1_700_000_000 });
  unlinkSync(rig.path("mess", id));
  assert.equal(
    program("qmail-qread", rig.home),
    `warning: trouble with #${id}: No such file or directory\n`,
  );
  rmSync(rig.queue, { recursive: true });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [programPath("queue/qmail-qread")],
    { env: { PATH: process.env.PATH, QMAILHOME: rig.home }, encoding: "latin1" },
  );
  assert.deepEqual([status, stderr], [111, ""]);
  assert.match(stdout, /^fatal: ENOENT.*bounce'\n$/);
});
