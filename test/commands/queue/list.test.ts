/** What a person and a script see of queues made by hand. */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { queueGroups } from "../../../commands/queue/groups.ts";
import { type ListOptions, queueList } from "../../../commands/queue/list.ts";
import { queueStat } from "../../../commands/queue/stat.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { Captured } from "../_output.ts";

const HOUR = 3600;
const NOW = Math.floor(Date.now() / 1000);

/** A queue with a message in each state. */
function made(rig: SendRig) {
  const waiting = rig.made({
    sender: "ann@from.test",
    body: "Subject: =?utf-8?q?f=C3=BCr?= you\n\nThe Invoice\n",
    remote: ["Tbob@to.test", "Tzoe@to.test", "Dold@to.test"],
    birth: NOW - 2 * HOUR - 30,
    retry: NOW + HOUR + 30,
  });
  const due = rig.made({
    sender: "odd\xe4\x1b[31m@from.test",
    local: ["Tjoe"],
    birth: NOW - 120,
    retry: NOW - 5,
  });
  const bouncing = rig.made({ sender: "", bounce: "x", birth: NOW - 9 * 24 * HOUR });
  const todo = rig.todo("ann@from.test", ["eve@to.test"]);
  return { waiting, due, bouncing, todo };
}

function writeLog(rig: SendRig, id: string, said = "Connected_to_192.0.2.1_but_no./"): void {
  const lines = [
    `new msg ${id}`,
    `starting delivery 1: msg ${id} to remote bob@to.test`,
    `delivery 1: deferral: ${said}`,
  ];
  const text = lines.map((line) => `${formatTai64n(NOW * 1000)} ${line}\n`).join("");
  mkdirSync(`${rig.home}/log/qmail-send`, { recursive: true });
  writeFileSync(`${rig.home}/log/qmail-send/current`, text);
}

const PLAIN = { selection: {}, sort: null, reverse: false, limit: null, text: null };

async function list(rig: SendRig, options: Partial<ListOptions> = {}, json = false) {
  const output = new Captured({ json });
  await queueList({ home: rig.home, ...PLAIN, ...options, output });
  return output;
}

async function ids(rig: SendRig, options: Partial<ListOptions>): Promise<string[]> {
  const { documents } = await list(rig, options, true);
  return documents.map((document) => (document as { id: string }).id);
}

test("a person sees a line a message, the oldest first, with the last error", async () => {
  await using rig = new SendRig();
  assert.equal((await list(rig)).text, "The queue is empty.\n");
  const { waiting, due, bouncing, todo } = made(rig);
  writeLog(rig, waiting);
  const [titles, ...lines] = (await list(rig)).text.split("\n");
  assert.equal(titles?.trim().replace(/ +/g, " "), "id state age size next left from to");
  assert.deepEqual(
    lines.map((line) => line.trim().replace(/ +/g, " ")),
    [
      `${bouncing} bouncing 9d 5 - 0 <> -`,
      `${waiting} waiting 2h 47 60m 2/3 ann@from.test bob@to.test`,
      "Connected to 192.0.2.1 but no.",
      `${due} due 2m 5 now 1 oddä?[31…om.test joe`,
      `${todo} todo 0s 5 - 1 ann@from.test eve@to.test`,
      "",
      "4 messages",
      "",
    ],
  );
  for (const line of lines) assert.ok(line.length <= 80, line);
  assert.match((await list(rig, { limit: 1 })).text, /\n1 of 4 messages\n$/);
  const none = await list(rig, { selection: { from: ["nobody@x"] } });
  assert.equal(none.text, "Nothing in the queue is like that.\n");
});

test("a script gets everything", async () => {
  await using rig = new SendRig();
  const { waiting, due } = made(rig);
  writeLog(rig, waiting);
  const { documents } = await list(rig, { selection: { id: [waiting, due] } }, true);
  const next = new Date((NOW + HOUR + 30) * 1000).toISOString();
  const to = (address: string, done: boolean) => {
    return { channel: "remote", address, done, next: done ? null : next };
  };
  assert.deepEqual(documents[0], {
    id: waiting,
    state: "waiting",
    bouncing: false,
    birth: new Date((NOW - 2 * HOUR - 30) * 1000).toISOString(),
    size: 47,
    sender: "ann@from.test",
    left: 2,
    done: 1,
    next,
    recipients: [to("bob@to.test", false), to("zoe@to.test", false), to("old@to.test", true)],
    tries: { count: 1, exact: true },
    lastError: {
      text: "Connected_to_192.0.2.1_but_no./",
      recipient: "bob@to.test",
      time: new Date(NOW * 1000).toISOString(),
    },
  });
  assert.equal((documents[1] as { sender: string }).sender, "odd\xe4\x1b[31m@from.test");
});

test("in any order, from either end, or only the first", async () => {
  await using rig = new SendRig();
  const { waiting, due, bouncing, todo } = made(rig);
  assert.deepEqual(await ids(rig, {}), [bouncing, waiting, due, todo]);
  assert.deepEqual(await ids(rig, { reverse: true }), [todo, due, waiting, bouncing]);
  assert.deepEqual(await ids(rig, { sort: "size", limit: 1 }), [waiting]);
  assert.deepEqual(await ids(rig, { sort: "next", limit: 2 }), [due, waiting]);
  assert.deepEqual((await ids(rig, { sort: "sender" }))[0], bouncing);
  assert.deepEqual((await ids(rig, { sort: "recipients" }))[0], waiting);
  const byNumber = [waiting, due, bouncing, todo].toSorted((a, b) => Number(a) - Number(b));
  assert.deepEqual(await ids(rig, { sort: "id" }), byNumber);
  await assert.rejects(list(rig, { sort: "agee" }), { code: 100, message: /no order "agee"/ });
});

test("search: a text in envelope, header (decoded too) or body", async () => {
  await using rig = new SendRig();
  const { waiting, due } = made(rig);
  const big = rig.made({ sender: "b@c", body: `${"x".repeat(256 * 1024 - 3)}needle\n` });
  const cases: readonly (readonly [string, string, string])[] = [
    ["INVOICE", waiting, "body"],
    ["für you", waiting, "header"],
    ["zoe@", waiting, "recipient"],
    ["odd", due, "sender"],
    ["needle", big, "body"],
  ];
  for (const [text, id, where] of cases) {
    const { documents } = await list(rig, { text }, true);
    assert.deepEqual(
      documents.map((document) => {
        const { id: found, found: place } = document as { id: string; found: { where: string } };
        return [found, place.where];
      }),
      [[id, where]],
      text,
    );
  }
  const { text } = await list(rig, { text: "invoice" });
  assert.match(text, /\n {10}body: The Invoice\n/);
});

test("groups: by recipients' domain, sender, last error", async () => {
  await using rig = new SendRig();
  const { waiting } = made(rig);
  const group = async (by: string, limit: number | null = null) => {
    const output = new Captured({ json: true });
    await queueGroups({ home: rig.home, selection: {}, by, limit, output });
    const [rows] = output.documents as [Record<string, unknown>[]];
    return rows.map((row) => [row[by], row.messages, row.left]);
  };
  assert.deepEqual(await group("domain"), [
    ["to.test", 2, 3],
    ["(no domain)", 1, 1],
  ]);
  assert.deepEqual((await group("sender"))[0], ["ann@from.test", 2, 3]);
  assert.equal((await group("sender", 2)).length, 2);
  await assert.rejects(group("error"), /there is no log of qmail-send/);
  writeLog(rig, waiting);
  assert.deepEqual(await group("error"), [["Connected to (host) but no.", 1, 2]]);
  await assert.rejects(group("state"), { code: 100 });
});

test("the slashes of an error stay: most are no ends of lines", async () => {
  await using rig = new SendRig();
  const { waiting } = made(rig);
  const said = "Remote_host_said:_421_see_https://help.test/a/b/Giving_up_on_192.0.2.1./";
  writeLog(rig, waiting, said);
  assert.match((await list(rig)).text, /421 see https:\/\/help\.test\/a\/b\/Giving/);
});

test("stat: qmail-qstat's lines first, then what there is of each", async () => {
  await using rig = new SendRig();
  const { waiting } = made(rig);
  writeLog(rig, waiting);
  const options = { home: rig.home, selection: {}, top: 5 };
  const person = new Captured();
  await queueStat({ ...options, output: person });
  assert.match(
    person.text,
    /^messages in queue: 4\nmessages in queue but not yet preprocessed: 1\nrecipients left: 4, done: 1\n/,
  );
  const script = new Captured({ json: true });
  await queueStat({ ...options, output: script });
  const [stat] = script.documents as [Record<string, unknown>];
  assert.deepEqual(stat.states, {
    todo: 1,
    due: 1,
    waiting: 1,
    held: 0,
    bouncing: 1,
    done: 0,
  });
  assert.deepEqual(
    (stat.ages as { messages: number }[]).map(({ messages }) => messages),
    [1, 1, 1, 0, 0, 0, 1],
  );
  assert.equal((stat.errors as { name: string }[])[0]?.name, "Connected to (host) but no.");
});
