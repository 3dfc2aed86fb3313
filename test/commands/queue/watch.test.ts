import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import kleur from "kleur";
import { EventChoice, type QueueFiles } from "../../../commands/queue/event-choice.ts";
import { eventJson, eventLine } from "../../../commands/queue/event-lines.ts";
import { type QueueEvent, QueueEvents } from "../../../commands/queue/events.ts";
import { parseHeader } from "../../../commands/queue/header.ts";
import { compile, type Selection } from "../../../commands/queue/selection.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import { fmtqfn, SPLIT } from "../../../qmail/queue/fmtqfn.ts";
import { LAUNCHER } from "../../site/_site.ts";

const NOW = Date.UTC(2026, 10, 24, 12);

const LOG = [
  "new msg 7",
  "info msg 7: bytes 400 from <ann@a.test> qp 4711 uid 0",
  "starting delivery 1: msg 7 to local bob@here.test",
  "status: local 1/10 remote 0/20",
  "delivery 1: success: did_1+0+0/",
  "starting delivery 2: msg 7 to remote carol@there.test",
  "delivery 2: deferral: 192.0.2.1_does_not_like_recipient./Remote_host_said:_451_later/Giving_up_on_192.0.2.1./",
  "starting delivery 3: msg 7 to remote carol@there.test",
  "delivery 3: failure: no./",
  "bounce msg 7 qp 4712",
  "end msg 7",
  "starting delivery 4: msg 9 to remote old@there.test",
  "delivery 4: success: ok/",
  "end msg 9",
];

/** Nothing is in the queue any more. */
const GONE: QueueFiles = { recipients: () => [], header: () => null };

/** What comes of each event of `lines` at its time: what is known of a message changes later. */
function eventsOf<T = QueueEvent>(
  lines: readonly string[],
  take: (event: QueueEvent) => T = (event) => event as T,
): T[] {
  const events = new QueueEvents((id) =>
    id === "9" ? { sender: "early@a.test", size: 9, birth: NOW - 60_000 } : null,
  );
  return lines.flatMap((line, at) => {
    const event = events.line(NOW + at * 1000, line);
    return event ? [take(event)] : [];
  });
}

/** The names of the events that `selection` means, with the message's id. */
function chosen(selection: Selection, files: QueueFiles = GONE): string[] {
  const choice = new EventChoice(compile(selection, NOW + 100_000), files);
  return eventsOf(LOG, (event) => choice.choose(event))
    .flat()
    .map(({ name, message, recipient }) =>
      [message.id, name, recipient?.address.replace(/@.*/, "")].filter(Boolean).join(" "),
    );
}

const ALL = [
  ...["7 new", "7 try bob", "7 delivered bob", "7 try carol", "7 deferred carol"],
  ...["7 try carol", "7 failed carol", "7 bounce", "7 left"],
  ...["9 try old", "9 delivered old", "9 left"],
];

test("every message's way: in, tried, waiting, bounced, out", () => {
  assert.deepEqual(chosen({}), ALL);
  const left = eventsOf(LOG).filter(({ name }) => name === "left");
  const [first, second] = left;
  assert.deepEqual(
    [first?.seconds, first?.message.delivered, first?.message.deferred, first?.message.failed],
    [9, 1, 1, 1],
  );
  // That came in before the log: what the queue's files said of it.
  assert.deepEqual([second?.message.sender, second?.seconds], ["early@a.test", 73]);
});

test("a selection shows what it means, and how the message came in and went out", () => {
  const carol = ["7 try carol", "7 deferred carol", "7 try carol", "7 failed carol"];
  assert.deepEqual(chosen({ to: ["carol@*"] }), ["7 new", ...carol, "7 bounce", "7 left"]);
  assert.deepEqual(chosen({ from: ["early@*"] }), ["9 try old", "9 delivered old", "9 left"]);
  assert.deepEqual(chosen({ id: ["7"] }), ALL.slice(0, 9));
  assert.deepEqual(chosen({ channel: ["local"] }).slice(0, 3), [
    "7 new",
    "7 try bob",
    "7 delivered bob",
  ]);
  assert.deepEqual(
    chosen({ domain: ["there.test"] }).filter((each) => /bob/.test(each)),
    [],
  );
  assert.deepEqual(chosen({ larger: ["100"] }), ALL.slice(0, 9));
  assert.deepEqual(chosen({ from: ["nobody@*"] }), []);
});

test("states, errors and tries are those of the moment", () => {
  assert.deepEqual(chosen({ state: ["waiting"] }), [
    "7 new",
    "7 deferred carol",
    "7 bounce",
    "7 left",
  ]);
  assert.deepEqual(chosen({ error: ["451"] }).slice(0, 3), [
    "7 new",
    "7 deferred carol",
    "7 try carol",
  ]);
  assert.deepEqual(chosen({ tries: ["2-"] }).slice(0, 2), ["7 new", "7 failed carol"]);
});

test("what was done by hand is told", () => {
  const lines = eventsOf([
    "info msg 7: bytes 400 from <ann@a.test> qp 4711 uid 0",
    "action hold: msg 7 recipients 2",
    "action redirect: msg 7 from remote bob@old.test to local bob@here.test",
    "action delete: msg 7 recipients 2",
  ]).map((event) => eventLine(event).slice(25));
  assert.deepEqual(lines.slice(1), [
    "action     hold",
    "action     bob@old.test: redirect to bob@here.test",
    "action     delete",
  ]);
});

test("headers are read when the message comes in", () => {
  let asked = 0;
  const files: QueueFiles = {
    recipients: () => [],
    header: (id) => {
      asked++;
      return id === "7" ? parseHeader(Buffer.from("Subject: Offer 7\n\n")) : null;
    },
  };
  assert.deepEqual(chosen({ subject: ["offer"] }, files), ALL.slice(0, 9));
  assert.equal(asked, 2);
});

test("lines for people hold nothing that steers a terminal; documents have it all", () => {
  kleur.enabled = false;
  const evil = "\x1b[2J\x07\x9b";
  const [event] = eventsOf([`info msg 7: bytes 1 from <${evil}@a.test> qp 1 uid 1`]);
  assert.ok(event);
  assert.match(
    eventLine(event),
    /^\d\d:00:00\.000 {10}7 {2}new {8}from <\?\[2J\?�@a\.test>, 1 bytes$/,
  );
  assert.equal(eventJson(event).event, "new");
  const lines = eventsOf(LOG).map((each) => eventLine(each).slice(25));
  assert.deepEqual(lines, [
    "new        from <ann@a.test>, 400 bytes",
    "try        local bob@here.test",
    "delivered  bob@here.test (2.0s): did 1+0+0",
    "try        remote carol@there.test",
    "deferred   carol@there.test (1.0s): 451 later",
    "try        remote carol@there.test",
    "failed     carol@there.test (1.0s): no.",
    "bounce     to <ann@a.test>: qp 4712",
    "left       after 9.0s: 1 delivered, 1 failed, deferred 1 times",
    "try        remote old@there.test",
    "delivered  old@there.test (1.0s): ok",
    "left       after 1m 13s: 1 delivered",
  ]);
});

test("the real thing: the last lines, then what comes, a document a line, until a signal", async () => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-watch-"));
  try {
    const log = join(home, "log/qmail-send/current");
    mkdirSync(join(home, "log/qmail-send"), { recursive: true });
    for (const name of ["todo", "bounce"])
      mkdirSync(join(home, "queue", name), { recursive: true });
    for (const name of ["mess", "info", "local", "remote"]) {
      for (let n = 0; n < SPLIT; n++)
        mkdirSync(join(home, "queue", name, `${n}`), { recursive: true });
    }
    const put = (name: "mess" | "info" | "remote", text: string) =>
      writeFileSync(join(home, "queue", fmtqfn(name, "33")), text);
    put("mess", "Subject: x\n\n");
    put("info", "Fwaiting@a.test\0");
    put("remote", "Tbob@b.test\0");
    const say = (...lines: string[]) => {
      const stamp = formatTai64n(Date.now());
      appendFileSync(log, lines.map((line) => `${stamp} ${line}\n`).join(""));
    };
    say("info msg 1: bytes 5 from <a@a.test> qp 1 uid 1", "end msg 1");
    say("info msg 2: bytes 5 from <b@a.test> qp 1 uid 1");
    const args = [LAUNCHER, "--home", home, "queue", "watch", "--json", "--lines", "2"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => {
      const { id, event, sender } = JSON.parse(String((await lines.next()).value));
      return `${id} ${event} ${sender}`;
    };
    assert.equal(await next(), "1 left a@a.test");
    assert.equal(await next(), "2 new b@a.test");
    say("starting delivery 1: msg 33 to remote bob@b.test");
    assert.equal(await next(), "33 try waiting@a.test");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [0, null]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
