import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { programPath } from "../../../qmail/programs.ts";
import { qread } from "../../../qmail/queue/qmail-qread.ts";
import { queueStat } from "../../../qmail/queue/qmail-qstat.ts";
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
    `warning: trouble with #${id}: file does not exist\n`,
  );
  const fatal = () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [programPath("queue/qmail-qread")],
      { env: { PATH: process.env.PATH, QMAILHOME: rig.home }, encoding: "latin1" },
    );
    return [status, stdout, stderr];
  };
  rmSync(join(rig.queue, "info/0"), { recursive: true });
  assert.deepEqual(fatal(), [111, "fatal: unable to opendir info/0: file does not exist\n", ""]);
  rmSync(rig.queue, { recursive: true });
  assert.deepEqual(fatal(), [111, "fatal: unable to chdir: file does not exist\n", ""]);
});

/** Bytes without NUL, which ends addresses. */
const ADDRESS = fc
  .uint8Array({ maxLength: 12, min: 1 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const RECORDS = fc.option(
  fc.array(fc.tuple(fc.constantFrom("T", "D"), ADDRESS), { maxLength: 4 }),
  { nil: undefined },
);
const MESSAGE = fc.record({
  sender: ADDRESS,
  body: fc.string({ maxLength: 20 }),
  local: RECORDS,
  remote: RECORDS,
  bouncing: fc.boolean(),
  vanished: fc.boolean(),
  birth: fc.integer({ min: 0, max: 2 ** 31 }),
});

/** What C's qmail-qread prints, found by running it on queues like these. */
function expected(id: string, message: typeof MESSAGE extends fc.Arbitrary<infer T> ? T : never) {
  const { sender, body, bouncing, vanished, birth } = message;
  if (vanished) return `warning: trouble with #${id}: file does not exist\n`;
  const safe = (text: string) => Array.from(text, (c) => (c >= " " && c <= "~" ? c : "_")).join("");
  const date = new Date(birth * 1000).toUTCString().replace(/^\w+, 0?/, "");
  const size = Buffer.byteLength(body);
  let text = `${date}  #${id}  ${size}  <${safe(sender)}> ${bouncing ? " bouncing" : ""}\n`;
  for (const channel of ["local", "remote"] as const) {
    for (const [mark, address] of message[channel] ?? []) {
      text += `${mark === "D" ? "  done" : ""}\t${channel}\t${safe(address)}\n`;
    }
  }
  return text;
}

test("qmail-qread prints every message as it is documented, whatever the bytes and states", async () => {
  await using rig = new SendRig();
  const records = (of: readonly (readonly string[])[] | undefined) =>
    of?.map(([mark, address]) => `${mark}${address}`);
  fc.assert(
    fc.property(fc.array(MESSAGE, { maxLength: 5 }), (messages) => {
      const ids = messages.map(({ sender, body, local, remote, bouncing, birth }) => {
        const channels = { local: records(local), remote: records(remote) };
        return rig.made({
          ...(JSON.parse(JSON.stringify(channels)) as { local?: string[]; remote?: string[] }),
          ...{ sender, body, birth },
          ...(bouncing ? { bounce: "x" } : {}),
        });
      });
      const texts = ids.map((id, at) => expected(id, messages[at] as (typeof messages)[number]));
      for (const [at, id] of ids.entries()) {
        if (messages[at]?.vanished) unlinkSync(rig.path("mess", id));
      }
      assert.deepEqual(entries([...qread(rig.home)].join("")), texts.toSorted());
      for (const id of ids) {
        for (const directory of ["mess", "info", "local", "remote", "bounce"] as const) {
          rmSync(rig.path(directory, id), { force: true });
        }
      }
    }),
    { numRuns: 50 },
  );
});

/** The messages of a list apart, in no order. */
function entries(text: string): string[] {
  return text
    .split(/(?<=\n)(?=\d|warning)/)
    .filter((each) => each !== "")
    .sort();
}

test("qmail-qstat counts what is in todo and in info, once", async () => {
  await using rig = new SendRig();
  const both = rig.todo("a@b", ["c@d"]);
  // As while qmail-send writes it down.
  writeFileSync(rig.path("info", both), "Fa@b\0");
  rig.made({ sender: "a@b" });
  rig.mess();
  assert.deepEqual(queueStat(rig.home), { messages: 2, todo: 1 });
});
