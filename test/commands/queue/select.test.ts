/** Selections on a queue made by hand, in all the states that a message can be in. */

import assert from "node:assert/strict";
import { mkdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CommandError } from "../../../commands/output.ts";
import { UNKNOWN } from "../../../commands/queue/attempts.ts";
import { queueList } from "../../../commands/queue/list.ts";
import { selectMessages } from "../../../commands/queue/select.ts";
import type { Selection } from "../../../commands/queue/selection.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import type { Odd } from "../../../qmail/queue/queue-read.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { Captured } from "../_output.ts";

const NOW = Date.UTC(2026, 10, 24);
const SECONDS = NOW / 1000;

function select(rig: SendRig, selection: Selection): string[] {
  return [...selectMessages(rig.home, selection, { now: NOW })].map(({ id }) => id).sort();
}

test("what is in the files: senders, recipients, states, headers, the log", async () => {
  await using rig = new SendRig();
  const body = "Subject: hello\n world\n\nX-Not: a field\n";
  const waiting = rig.made({
    sender: "ann@from.test",
    body,
    local: ["Djoe@here.test"],
    remote: ["Tbob@to.test"],
    birth: SECONDS - 7200,
    retry: SECONDS + 60,
  });
  const odd = rig.made({ sender: "a\xe4\n@from.test", local: ["Tx\xff@y"], retry: SECONDS - 60 });
  const bouncing = rig.made({ sender: "", bounce: "<x@y>:\nno\n\n" });
  const done = rig.made({ sender: "ann@from.test" });
  const fresh = rig.todo("ann@from.test", ["bob@to.test"]);
  const cases: readonly (readonly [Selection, readonly string[]])[] = [
    [{}, [waiting, odd, bouncing, done, fresh]],
    [{ from: ["ann@*"] }, [waiting, done, fresh]],
    [{ to: ["bob@to.test"] }, [waiting, fresh]],
    [{ from: ["<>"] }, [bouncing]],
    [{ state: ["todo"] }, [fresh]],
    [{ state: ["due,waiting"] }, [waiting, odd]],
    [{ state: ["done"] }, [done]],
    [{ channel: ["local"] }, [odd]],
    [{ id: [waiting, "1"] }, [waiting]],
    [{ id: [waiting], from: ["x@y"] }, []],
    [{ id: [fresh] }, [fresh]],
    [{ subject: ["hello world"] }, [waiting]],
    [{ header: ["X-Not:"] }, []],
    [{ older: ["1h"] }, [waiting]],
    [{ larger: ["20"] }, [waiting]],
  ];
  for (const [selection, ids] of cases) {
    assert.deepEqual(select(rig, selection), ids.toSorted(), JSON.stringify(selection));
  }
  const [message] = selectMessages(rig.home, { id: [odd] }, { now: NOW });
  assert.equal(message?.sender, "a\xe4\n@from.test");
  assert.deepEqual(message?.recipients, [{ channel: "local", address: "x\xff@y", done: false }]);
  assert.deepEqual(message?.retry, { local: NOW - 60_000, remote: null });

  const { made = 0 } = message ?? {};
  const held = (time: number) => {
    writeFileSync(join(rig.home, "held/messages"), `+${odd} ${time}\n`);
    return select(rig, { state: ["held"] });
  };
  assert.deepEqual([held(made), select(rig, { state: ["due"] })], [[odd], []]);
  assert.deepEqual(held(made + 1), [], "of another message that had this number");

  const log = join(rig.home, "log/qmail-send");
  assert.throws(() => select(rig, { error: ["*"] }), /there is no log of qmail-send in/);
  mkdirSync(log, { recursive: true });
  const lines = [
    `new msg ${waiting}`,
    `starting delivery 1: msg ${waiting} to remote bob@to.test`,
    "delivery 1: deferral: Connection_refused/",
  ];
  const text = lines.map((line) => `${formatTai64n(NOW)} ${line}\n`).join("");
  writeFileSync(join(log, "current"), text);
  assert.deepEqual(select(rig, { error: ["refused"] }), [waiting]);
  assert.deepEqual(select(rig, { tries: ["1-"] }), [waiting]);
  assert.deepEqual(select(rig, { tries: ["0"] }), []);
  // Somebody else may know.
  const attempts = { of: () => ({ ...UNKNOWN, tries: 5, exact: true }) };
  const five = selectMessages(rig.home, { tries: ["5"], id: [odd] }, { now: NOW, attempts });
  assert.equal([...five].length, 1);
});

test("what vanishes meanwhile is left out, and what leaves todo meanwhile is not lost", async () => {
  await using rig = new SendRig();
  const first = rig.made({ sender: "a@b", remote: ["Tx@y"] });
  const later = rig.todo("a@b", ["x@y"]);
  const gone = rig.todo("a@b", ["x@y"]);
  const found: string[] = [];
  for (const { id } of selectMessages(rig.home, {}, { now: NOW })) {
    found.push(id);
    if (id !== first) continue;
    // As qmail-send does between two of our reads.
    writeFileSync(rig.path("info", later), "Fa@b\0");
    writeFileSync(rig.path("remote", later), "Tx@y\0");
    for (const [directory, name] of [
      ["todo", later],
      ["todo", gone],
      ["mess", gone],
    ] as const) {
      unlinkSync(rig.path(directory, name));
    }
  }
  assert.deepEqual(found, [first, later]);
});

test("while todo is there, what is being written of info does not count", async () => {
  await using rig = new SendRig();
  const id = rig.todo("a@b", ["x@y"]);
  writeFileSync(rig.path("info", id), "");
  assert.deepEqual(select(rig, {}), [id]);
  const damaged = rig.made({ sender: "a@b" });
  writeFileSync(rig.path("info", damaged), "");
  writeFileSync(rig.path("todo", rig.mess()), "garbage");
  assert.equal(select(rig, {}).length, 2);
  assert.ok(!select(rig, {}).includes(damaged));
});

test("only what is asked for is read: of others not the message, not the recipients", async () => {
  await using rig = new SendRig();
  const wanted = rig.made({ sender: "ann@x", remote: ["Tx@y"], body: "Subject: a\n\n" });
  const other = rig.made({ sender: "bob@x", remote: ["Tx@y"] });
  for (const directory of ["remote", "mess"] as const) {
    rmSync(rig.path(directory, other));
    mkdirSync(rig.path(directory, other));
  }
  assert.deepEqual(select(rig, { from: ["ann@x"], subject: ["a"] }), [wanted]);
  const odd: Odd[] = [];
  const all = selectMessages(rig.home, {}, { now: NOW, odd: (each) => odd.push(each) });
  assert.deepEqual(
    [...all].map(({ id }) => id),
    [wanted],
  );
  assert.deepEqual(
    odd.map(({ id, reason }) => [id, reason]),
    [[other, "it is a directory"]],
  );
});

test("no queue", async () => {
  await using rig = new SendRig();
  rmSync(rig.queue, { recursive: true });
  assert.throws(() => select(rig, {}), /no mail server is installed in/);
});

test("a queue that is not whole is an error that says where to look", async () => {
  await using rig = new SendRig();
  rmSync(join(rig.queue, "bounce"), { recursive: true });
  assert.throws(() => select(rig, {}), /cannot read the queue: ENOENT.*queue\/bounce/);
  const output = new Captured();
  const options = { home: rig.home, selection: {}, sort: null, reverse: false, limit: null };
  await assert.rejects(queueList({ ...options, text: null, output }), (error: CommandError) => {
    assert.deepEqual(error.hints, [
      "a part of it is missing: qmailctl queue check says what is wrong",
    ]);
    return true;
  });
});
