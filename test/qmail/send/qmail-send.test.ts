/** qmail-send between a real queue and spawners that the test plays: log lines, bounces, marks, signals. */

import assert from "node:assert/strict";
import {
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { QueueFiles } from "../../../qmail/send/queue-files.ts";
import { makeQueue } from "../queue/_queue.ts";
import { checkQueue, type Order, SendRig } from "./_send.ts";

const NOW = () => Math.floor(Date.now() / 1000);

test("one message: every line from new msg to end msg, in order", async () => {
  await using rig = new SendRig({ concurrencylocal: "300\n", concurrencyremote: "3000\n" });
  await rig.start();
  const qp = await rig.put("a b%c@from.test", ["joe@mail.test"], "Subject: x\n\nbody\n");
  const order = await rig.order();
  assert.deepEqual(
    [order.channel, order.sender, order.recipient],
    ["local", "a b%c@from.test", "joe@mail.test"],
  );
  const id = order.messid;
  const bytes = statSync(rig.path("mess", id)).size;
  order.report("Kdid 1+0+0\n");
  await rig.gone(id);
  await rig.stop();
  assert.deepEqual(rig.lines, [
    "status: local 0/300 remote 0/2000",
    `new msg ${id}`,
    `info msg ${id}: bytes ${bytes} from <a_b_c@from.test> qp ${qp} uid ${process.getuid?.()}`,
    `starting delivery 1: msg ${id} to local joe@mail.test`,
    "status: local 1/300 remote 0/2000",
    "delivery 1: success: did_1+0+0/",
    "status: local 0/300 remote 0/2000",
    `end msg ${id}`,
    "status: exiting",
  ]);
  checkQueue(rig.queue);
});

test("a deferral is settled for the schedule, and SIGALRM tries it again at once", async () => {
  await using rig = new SendRig();
  await rig.start();
  await rig.put("a@from.test", ["joe@far.test", "ann@far.test"]);
  const [first, second] = [await rig.order(), await rig.order()];
  const id = first.messid;
  first.report("Kfine\n");
  second.report("Zconnect failed\n");
  await rig.line(/^delivery \d: deferral: connect_failed\/$/);
  await rig.until(() => !rig.exists("todo", id), "the settling");
  assert.equal(rig.read("info", id), "Fa@from.test\0");
  assert.equal(rig.read("remote", id), "Djoe@far.test\0Tann@far.test\0");
  assert.ok(!rig.exists("local", id));
  await rig.alarm();
  const again = await rig.order();
  assert.equal(again.recipient, "ann@far.test");
  again.report("Zstill not\n");
  await rig.line(/^delivery 3: deferral/);
  await rig.stop();
  // pqfinish: the file's time is that of the next try.
  const birth = Math.floor(statSync(rig.path("info", id)).mtimeMs / 1000);
  const retry = Math.floor(statSync(rig.path("remote", id)).mtimeMs / 1000);
  const root = Math.sqrt(retry - birth);
  assert.ok(Number.isInteger(root) && root >= 20, `retry after ${retry - birth} s`);
  checkQueue(rig.queue);
});

test("a failure bounces with qmail's words; the bounce of the bounce goes to the postmaster; the third is thrown away", async () => {
  await using rig = new SendRig({
    bouncefrom: "MAILER DAEMON\n",
    bouncehost: "bounce.test\n",
    doublebounceto: "pm\n",
    doublebouncehost: "double.test\n",
    virtualdomains: "virtual.test:virt\n",
  });
  await rig.start();
  await rig.put("list-@from.test-@[]", ["joe@virtual.test"], "Subject: x\n\nbody\n");
  const first = await rig.order();
  assert.equal(first.recipient, "virt-joe@virtual.test");
  assert.equal(first.sender, "list-virt-joe=virtual.test@from.test");
  first.report("DSorry, no mailbox here by that name. (#5.1.1)\n\nTwo.");
  await rig.line(/^delivery 1: failure: Sorry,_no_mailbox/);
  const bounceLine = await rig.line(/^bounce msg /);
  assert.match(bounceLine, new RegExp(`^bounce msg ${first.messid} qp \\d+$`));
  await rig.line(new RegExp(`^end msg ${first.messid}$`));

  const second = await rig.order();
  assert.deepEqual([second.sender, second.recipient], ["", "list-@from.test"]);
  const [received, ...text] = rig.read("mess", second.messid).split("\n");
  const qp = bounceLine.split(" ").at(-1);
  assert.match(received ?? "", new RegExp(`^Received: \\(qmail ${qp} invoked for bounce\\); \\d`));
  assert.match(text.shift() ?? "", /^Date: \d+ \w{3} \d{4} \d\d:\d\d:\d\d -0000$/);
  const inner = text.findIndex((line) => line.startsWith("Received:"));
  assert.match(text[inner] ?? "", /^Received: \(qmail \d+ invoked from network\)/);
  text.splice(inner, 1);
  assert.deepEqual(text, [
    'From: "MAILER DAEMON"@bounce.test',
    "To: list-@from.test",
    "Subject: failure notice",
    "",
    "Hi. This is the qmail-send program at bounce.test.",
    "I'm afraid I wasn't able to deliver your message to the following addresses.",
    "This is a permanent error; I've given up. Sorry it didn't work out.",
    "",
    "<joe@virtual.test>:",
    "Sorry, no mailbox here by that name. (#5.1.1)",
    "/Two.",
    "",
    "--- Below this line is a copy of the message.",
    "",
    "Return-Path: <list-@from.test>",
    "Subject: x",
    "",
    "body",
    "",
  ]);
  second.report("Dno\n");

  const third = await rig.order();
  assert.deepEqual([third.sender, third.recipient], ["#@[]", "pm@double.test"]);
  const double = rig.read("mess", third.messid);
  assert.ok(
    double.includes(
      "at bounce.test.\nI tried to deliver a bounce message to this address, but the bounce bounced!\n\n" +
        "<list-@from.test>:\nno\n\n--- Below this line is the original bounce.\n\nReturn-Path: <>\n",
    ),
  );
  third.report("Dno\n");
  await rig.line(new RegExp(`^triple bounce: discarding bounce/${third.messid}$`));
  await rig.line(new RegExp(`^end msg ${third.messid}$`));
  await rig.stop();
  checkQueue(rig.queue);
});

test("the bounce of a large message has all of it", async () => {
  await using rig = new SendRig();
  await rig.start();
  const body = `Subject: x\n\n${`${"0123456789".repeat(8)}\n`.repeat(60_000)}`;
  await rig.put("a@from.test", ["joe@mail.test"], body);
  (await rig.order()).report("Dno\n");
  const bounce = await rig.order();
  assert.ok(rig.read("mess", bounce.messid).endsWith(body));
});

test("a message too old for another try bounces with the report and the reason", async () => {
  await using rig = new SendRig({ queuelifetime: "1000\n" });
  const id = rig.made({
    sender: "a@from.test",
    remote: ["Tjoe@far.test"],
    birth: NOW() - 1001,
    retry: 5,
  });
  const young = rig.made({ sender: "", remote: ["Tann@far.test"], birth: NOW() - 900, retry: 6 });
  await rig.start();
  // On a busy machine the reading of the queue pauses between them.
  const orders = [await rig.order(), await rig.order()];
  orders.find(({ messid }) => messid === id)?.report("ZI was greylisted.\n");
  orders.find(({ messid }) => messid === young)?.report("Zlater\n");
  await rig.line(
    /^delivery \d: failure: I_was_greylisted\.\/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long\.\/$/,
  );
  await rig.line(/^delivery \d: deferral: later\/$/);
  const bounce = await rig.order();
  assert.match(
    rig.read("mess", bounce.messid),
    /<joe@far\.test>:\nI was greylisted\.\nI'm not going to try again; this message has been in the queue too long\.\n\n---/,
  );
});

test("nothing is begun before both spawners are there: read twice at start, it would be delivered twice", async () => {
  await using rig = new SendRig();
  const boxes = Array.from({ length: 6 }, (_, at) => `r${at}@mail.test`);
  const id = rig.todo("a@from.test", boxes);
  rig.launch();
  rig.hello("local");
  // Time enough for what must not happen; no event tells of it.
  await sleep(500);
  assert.deepEqual(rig.lines, []);
  rig.hello("remote");
  for (const box of boxes) {
    const { recipient, report } = await rig.order();
    assert.equal(recipient, box);
    report("Kfine\n");
  }
  await rig.gone(id);
  assert.equal(rig.orders, 0);
});

test("what another qmail left is picked up and finished: todo, info, local, remote, marks, bounce", async () => {
  await using rig = new SendRig();
  const plain = rig.todo("a@from.test", ["joe@mail.test"]);
  const many = rig.todo(
    "b@from.test",
    Array.from({ length: 6 }, (_, at) => `r${at}@far.test`),
  );
  const marked = rig.made({
    sender: "c@from.test",
    local: ["Done@mail.test", "Tlocal@mail.test"],
    remote: ["Tone@far.test", "Dtwo@far.test", "Tthree@far.test"],
    bounce: "<two@far.test>:\nno\n\n",
    retry: 5,
  });
  const bouncing = rig.made({ sender: "d@from.test", bounce: "<x@far.test>:\nno\n\n" });
  const later = rig.made({ sender: "e@from.test", remote: ["Tl@far.test"], retry: NOW() + 5000 });
  // Died while it wrote info: todo counts.
  const torn = rig.todo("f@from.test", ["torn@mail.test"]);
  writeFileSync(rig.path("info", torn), "F", { mode: 0o600 });
  writeFileSync(rig.path("remote", torn), "Twrong@far.test\0", { mode: 0o600 });
  await rig.start();
  const tried = new Map<string, string[]>();
  for (let at = 0; at < 1 + 6 + 3 + 1 + 1 + 1; at++) {
    const { messid, sender, recipient, report } = await rig.order();
    // A bounce may have the number of a message that has just ended.
    const key = sender === "" ? `bounce for ${recipient}` : messid;
    tried.set(key, [...(tried.get(key) ?? []), recipient].sort());
    report("Kfine\n");
  }
  assert.deepEqual(
    tried,
    new Map([
      [plain, ["joe@mail.test"]],
      [many, Array.from({ length: 6 }, (_, at) => `r${at}@far.test`)],
      [marked, ["local@mail.test", "one@far.test", "three@far.test"]],
      [torn, ["torn@mail.test"]],
      ["bounce for c@from.test", ["c@from.test"]],
      ["bounce for d@from.test", ["d@from.test"]],
    ]),
  );
  await rig.until(
    () => rig.lines.filter((line) => line.startsWith("end msg")).length === 7,
    "ends",
  );
  await rig.stop();
  checkQueue(rig.queue);
  assert.ok(rig.exists("remote", later));
  for (const id of [plain, many, marked, bouncing, torn]) assert.ok(!rig.exists("info", id));
});

/** A file of recipients that is damaged, and who of it can be tried. */
const CUT_OFF: readonly (readonly [text: string, tried: readonly string[], left: string])[] = [
  ["", [], ""],
  ["Tann@far.t", [], "Tann@far.t"],
  ["Tjoe@far.test\0Tann@far.t", ["joe@far.test"], "Djoe@far.test\0Tann@far.t"],
  ["Djoe@far.test\0T", [], "Djoe@far.test\0T"],
];

for (const [text, tried, left] of CUT_OFF) {
  test(`a message whose remote/ is ${JSON.stringify(text)} is not over`, async () => {
    await using rig = new SendRig();
    const id = rig.made({ sender: "a@from.test", remote: [], retry: 1 });
    writeFileSync(rig.path("remote", id), text);
    utimesSync(rig.path("remote", id), 1, 1);
    await rig.start();
    for (const expected of tried) {
      const { recipient, report } = await rig.order();
      assert.equal(recipient, expected);
      report("K\n");
    }
    const line = `warning: trouble reading ${fmtqfn("remote", id)}; will try again later`;
    await rig.until(() => rig.lines.includes(line), line);
    await rig.stop();
    assert.equal(rig.read("remote", id), left);
    assert.ok(rig.exists("info", id) && rig.exists("mess", id));
    assert.ok(!rig.lines.some((each) => each.startsWith("end msg")));
  });
}

test("of a bounce that a power cut tore the whole paragraphs are sent; one of which nothing is whole is none", async () => {
  await using rig = new SendRig();
  const torn = { sender: "a@from.test", birth: Math.floor(Date.now() / 1000) };
  const failing = rig.made({
    ...torn,
    remote: ["Done@far.test", "Ttwo@far.test"],
    bounce: "<one@far.test>:\nold\n\n\0\0\0\0\0\0",
  });
  const fine = rig.made({ ...torn, remote: ["Tthree@far.test"], bounce: "<three@f" });
  rig.launch();
  for (const channel of ["local", "remote"] as const) rig.hello(channel);
  for (let at = 0; at < 2; at++) {
    const order = await rig.order();
    order.report(order.recipient === "two@far.test" ? "Dnew\n" : "Kfine\n");
  }
  const bounce = await rig.order();
  assert.equal(bounce.recipient, "a@from.test");
  assert.match(
    rig.read("mess", bounce.messid),
    /work out\.\n\n<one@far\.test>:\nold\n\n<two@far\.test>:\nnew\n\n--- Below/,
  );
  bounce.report("Kfine\n");
  for (const id of [failing, fine]) await rig.gone(id);
  await rig.stop();
  assert.equal(rig.lines.filter((line) => line.startsWith("bounce msg ")).length, 1);
  checkQueue(rig.queue);
});

test("another qmail-queue's message goes at once when it pulls the trigger", async () => {
  await using rig = new SendRig();
  await rig.start();
  for (let at = 0; at < 3; at++) {
    const id = rig.todo("", [`joe${at}@mail.test`]);
    rig.pull();
    const order = await rig.order();
    assert.deepEqual([order.messid, order.recipient], [id, `joe${at}@mail.test`]);
    await rig.line(new RegExp(`^info msg ${id}: bytes 5 from <> qp 8 uid 7$`));
    order.report("K\n");
    await rig.gone(id);
  }
});

test("on stopping, what is under way is finished, what is not begun stays in todo, and the queue is valid", async () => {
  await using rig = new SendRig({ concurrencylocal: "2\n" });
  await rig.start();
  for (let at = 0; at < 5; at++) await rig.put("a@from.test", [`joe${at}@mail.test`, "x@far.test"]);
  await rig.until(() => rig.orders === 7, "deliveries on both channels");
  rig.signal("SIGTERM");
  const reports = ["K\n", "Zlater\n", "Dno\n"];
  let exited = false;
  const exit = rig.exit().finally(() => {
    exited = true;
  });
  for (let at = 0; !exited; at++) {
    await rig.until(() => exited || rig.orders > 0, "the end");
    if (exited) break;
    const before = rig.lines.length;
    (await rig.order()).report(reports[at % 3] as string);
    // One after another: the signal has its effect meanwhile.
    await rig.line(/^status: /, before);
  }
  assert.equal(await exit, 0);
  assert.ok(rig.lines.some((line) => /^status: local \d\/2 remote \d\/20 exitasap$/.test(line)));
  assert.equal(rig.lines.at(-1), "status: exiting");
  assert.equal(rig.orders, 0);
  checkQueue(rig.queue);

  // The next run takes all that up and brings it to its end.
  await rig.start();
  const ended = () => rig.messages() === 0;
  for (;;) {
    await rig.alarm(ended);
    if (rig.orders === 0) break;
    (await rig.order()).report("K\n");
  }
});

test("SIGHUP rereads locals and virtualdomains, not the rest; what cannot be read is named", async () => {
  await using rig = new SendRig({ percenthack: "mail.test\n" });
  await rig.start();
  rig.control("locals", "new.test\n");
  rig.control("virtualdomains", "v.test:virt\n");
  rig.control("percenthack", "");
  rig.signal("SIGHUP");
  // The signal and the message come by different ways: the first that shows the change ends the wait.
  for (let tries = 0; ; tries++) {
    await rig.put("", ["x@new.test"]);
    const order = await rig.order();
    order.report("K\n");
    if (order.channel === "local") break;
    assert.ok(tries < 1000);
  }
  await rig.put("", ["y%v.test@mail.test"]);
  const order = await rig.order();
  assert.deepEqual([order.channel, order.recipient], ["local", "virt-y@v.test"]);
  order.report("K\n");
  renameSync(join(rig.home, "control/locals"), join(rig.home, "control/locals.old"));
  mkdirSync(join(rig.home, "control/locals"));
  rig.signal("SIGHUP");
  await rig.line(/^alert: unable to reread control\/locals$/);
  rmdirSync(join(rig.home, "control/locals"));
  renameSync(join(rig.home, "control/locals.old"), join(rig.home, "control/locals"));
  rig.control("virtualdomains.old", "");
  renameSync(join(rig.home, "control/virtualdomains"), join(rig.home, "control/v"));
  mkdirSync(join(rig.home, "control/virtualdomains"));
  rig.signal("SIGHUP");
  await rig.line(/^alert: unable to reread control\/virtualdomains$/);
  await rig.put("", ["z@new.test"]);
  assert.equal((await rig.order()).channel, "local");
});

test("reports that are none: mangled, out of range", async () => {
  await using rig = new SendRig();
  await rig.start();
  await rig.put("", ["x@mail.test"]);
  const order = await rig.order();
  order.report("?what\n");
  await rig.line(/^delivery 1: report mangled, will defer$/);
  order.report("K\n");
  await rig.line(/^warning: internal error: delivery report out of range$/);
  assert.ok(rig.exists("mess", order.messid));
});

test("a spawner that dies is mourned, and qmail-send leaves", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.link("remote").destroy();
  assert.equal(await rig.exit(), 111);
  assert.ok(rig.lines.includes("alert: oh no! lost spawn connection! dying..."));
  assert.equal(rig.lines.at(-1), "status: exiting");
});

test("a spawner that never lived", async () => {
  await using rig = new SendRig();
  rig.launch();
  rig.hello("local");
  rig.link("remote").destroy();
  assert.equal(await rig.exit(), 111);
  assert.equal(rig.lines[0], "alert: cannot start: hath the daemon spawn no fire?");
});

/** What is done to the home → why qmail-send does not start. */
const CANNOT_START: readonly (readonly [string, (home: string) => void])[] = [
  ["unable to read controls", (home) => mkdirSync(join(home, "control/virtualdomains"))],
  [
    'control/bounceformat holds "xml"; there is qsbmf and dsn',
    (home) => writeFileSync(join(home, "control/bounceformat"), "xml\n"),
  ],
  [
    "unable to switch to queue directory",
    (home) => renameSync(join(home, "queue"), join(home, "elsewhere")),
  ],
  [
    "unable to open mutex",
    (home) => renameSync(join(home, "queue/lock/sendmutex"), join(home, "elsewhere")),
  ],
];

for (const [why, spoil] of CANNOT_START) {
  test(`alert: cannot start: ${why}`, async () => {
    await using rig = new SendRig();
    spoil(rig.home);
    rig.launch();
    assert.equal(await rig.exit(), 111);
    assert.deepEqual(rig.lines, [`alert: cannot start: ${why}`]);
  });
}

test("alert: cannot start: qmail-send is already running", async () => {
  await using rig = new SendRig();
  await rig.start();
  await using second = new SendRig();
  rmSync(second.queue, { recursive: true });
  symlinkSync(rig.queue, second.queue);
  second.launch();
  assert.equal(await second.exit(), 111);
  assert.deepEqual(second.lines, ["alert: cannot start: qmail-send is already running"]);
});

test("a bounce that cannot be queued is tried again; QMAILQUEUE that is not there is said so", async () => {
  for (const [program, line] of [
    ["/nonexistent/qmail-queue", "warning: unable to start qmail-queue, will try later"],
    ["/bin/false", "warning: trouble injecting bounce message, will try later"],
  ] as const) {
    await using rig = new SendRig();
    const id = rig.made({ sender: "a@from.test", bounce: "<x@far.test>:\nno\n\n" });
    await rig.start({ QMAILQUEUE: program });
    await rig.line(new RegExp(`^${line}$`));
    await rig.stop();
    assert.ok(rig.exists("bounce", id) && rig.exists("info", id));
    checkQueue(rig.queue);
  }
});

/** What is wrong with the queue at the start → the line that says it. */
const AT_START: readonly (readonly [string, (rig: SendRig) => string])[] = [
  [
    "unable to open todo",
    (rig) => {
      const id = rig.mess();
      symlinkSync(id, rig.path("todo", id));
      return `warning: unable to open todo/${id}: it is a symbolic link`;
    },
  ],
  [
    "trouble reading todo",
    (rig) => {
      const id = rig.mess();
      mkdirSync(rig.path("todo", id));
      return `warning: trouble reading todo/${id}: it is a directory`;
    },
  ],
  [
    "unable to stat mess",
    (rig) => {
      const id = rig.todo("", ["x@mail.test"]);
      unlinkSync(rig.path("mess", id));
      return `warning: unable to stat ${fmtqfn("mess", id)}`;
    },
  ],
  [
    "unknown record type in todo",
    (rig) => {
      const id = rig.todo("", ["x@mail.test"]);
      writeFileSync(rig.path("todo", id), "u1\0p2\0Fa\0Xb\0");
      return `warning: unknown record type in todo/${id}`;
    },
  ],
  [
    "unable to unlink info",
    (rig) => {
      const id = rig.todo("", ["x@mail.test"]);
      mkdirSync(rig.path("info", id));
      return `warning: unable to unlink ${fmtqfn("info", id)}`;
    },
  ],
  [
    "trouble opening local",
    (rig) => {
      const id = rig.made({ sender: "", local: ["Tx@mail.test"], retry: 1 });
      writeFileSync(rig.path("info", id), "no record");
      return `warning: trouble opening ${fmtqfn("local", id)}; will try again later`;
    },
  ],
  [
    "trouble reading local",
    (rig) => {
      const id = rig.made({ sender: "" });
      // Can be opened, and not be read at its beginning.
      symlinkSync("/proc/self/mem", rig.path("local", id));
      return `warning: trouble reading ${fmtqfn("local", id)}; will try again later`;
    },
  ],
  [
    "unknown record type in remote",
    (rig) => {
      const id = rig.made({ sender: "", remote: ["?x@mail.test"], retry: 1 });
      return `warning: unknown record type in ${fmtqfn("remote", id)}!`;
    },
  ],
  [
    "unable to stat local",
    (rig) => {
      const id = rig.made({ sender: "" });
      symlinkSync(id, rig.path("local", id));
      return `warning: unable to stat ${fmtqfn("local", id)}; will try again later`;
    },
  ],
  [
    "unable to stat bounce",
    (rig) => {
      const id = rig.made({ sender: "" });
      symlinkSync(id, rig.path("bounce", id));
      return `warning: unable to stat bounce/${id}`;
    },
  ],
  [
    "qmail-clean unable to clean up foop",
    (rig) => {
      const id = rig.made({ sender: "" });
      mkdirSync(rig.path("intd", id));
      return `warning: qmail-clean unable to clean up foop/${id}`;
    },
  ],
  [
    "qmail-clean unable to clean up todo",
    (rig) => {
      const id = rig.todo("", Array(6).fill("x@far.test"));
      unlinkSync(rig.path("intd", id));
      mkdirSync(rig.path("intd", id));
      return `warning: qmail-clean unable to clean up todo/${id}`;
    },
  ],
  ...["todo", "info/3", "local/3", "mess/3"].map((directory) => {
    const spoil = (rig: SendRig) => {
      renameSync(join(rig.queue, directory), join(rig.home, "elsewhere"));
      return `alert: unable to opendir ${directory}, sleeping...`;
    };
    return [`unable to opendir ${directory}`, spoil] as const;
  }),
];

for (const [title, spoil] of AT_START) {
  test(`the line of ${title}`, async () => {
    await using rig = new SendRig();
    const line = spoil(rig);
    await rig.start();
    await rig.until(() => rig.lines.includes(line), line);
  });
}

/** What goes wrong under way, with the order of a message → the line that says it. */
const UNDER_WAY: readonly (readonly [string, (rig: SendRig, order: Order) => string])[] = [
  [
    "trouble marking",
    (rig, { messid, report }) => {
      rig.limitFiles(0);
      report("K\n");
      const name = fmtqfn("remote", messid);
      return `warning: trouble marking ${name}; message will be delivered twice!`;
    },
  ],
  [
    "unable to append to bounce message",
    (rig, { report }) => {
      rig.limitFiles(0);
      report("Dno\n");
      return "alert: unable to append to bounce message; HELP! sleeping...";
    },
  ],
  [
    "unable to unlink remote",
    (rig, { messid, report }) => {
      const directory = join(rig.path("remote", messid), "..");
      renameSync(directory, join(rig.home, "elsewhere"));
      report("K\n");
      return `warning: unable to unlink ${fmtqfn("remote", messid)}; will try again later`;
    },
  ],
  [
    "unable to utime",
    (rig, { messid, report }) => {
      report("Z\n");
      unlinkSync(rig.path("remote", messid));
      rig.signal("SIGTERM");
      return `warning: unable to utime ${fmtqfn("remote", messid)}; message will be retried too soon`;
    },
  ],
];

for (const [title, spoil] of UNDER_WAY) {
  test(`the line of ${title}`, async () => {
    await using rig = new SendRig();
    rig.made({ sender: "", remote: ["Tx@far.test"], retry: 1 });
    await rig.start();
    const line = spoil(rig, await rig.order());
    await rig.until(() => rig.lines.includes(line), line);
  });
}

test("a message that cannot be written down stays in todo: no room, no directory", async () => {
  await using rig = new SendRig();
  await rig.start();
  rig.limitFiles(4096);
  const many = Array.from({ length: 500 }, (_, at) => `recipient${at}@far.test`);
  await rig.put("", many);
  const line = await rig.line(/^warning: trouble writing to remote\/\d+\/\d+$/);
  const id = line.split("/").at(-1) as string;
  assert.ok(rig.exists("todo", id));
  const other = rig.todo("", many);
  renameSync(join(rig.path("remote", other), ".."), join(rig.home, "elsewhere"));
  rig.pull();
  await rig.line(new RegExp(`^warning: unable to create ${fmtqfn("remote", other)}$`));
  assert.ok(rig.exists("todo", other));
});

test("trouble with a sync is told as such, and the message stays in todo", async () => {
  using made = makeQueue();
  const sync = new GroupSync();
  sync.sync = () => Promise.reject(new Error("EIO"));
  const settlement = {
    id: "5",
    sender: "",
    birth: 1,
    records: { local: "Tx@y\0", remote: "" },
    retry: { local: 1, remote: 1 },
    bounce: "",
  };
  await assert.rejects(new QueueFiles(made.queue, sync, false).settle(settlement), {
    message: /^trouble fsyncing (info|local)\/5\/5$/,
  });
});
