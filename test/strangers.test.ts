/**
 * Every directory where others than its reader make names: whatever lies there before a good file, behind it or in
 * the place of a part of it, the good one is found, nobody waits, and nothing of the name reaches a terminal raw.
 * drop has the same in qmail/queue/drop.test.ts.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs, {
  closeSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { queueList } from "../commands/queue/list.ts";
import { queueStat } from "../commands/queue/stat.ts";
import { Control } from "../qmail/control/control.ts";
import { GroupSync } from "../qmail/files/groupsync.ts";
import { findInstructions } from "../qmail/local/find.ts";
import { cleanTmp } from "../qmail/maildir/maildir.ts";
import { maildir2mbox } from "../qmail/maildir/maildir2mbox.ts";
import { newMail } from "../qmail/maildir/maildirwatch.ts";
import { Mailbox } from "../qmail/pop3d/mailbox.ts";
import { fmtqfn, type MessId, splitOf } from "../qmail/queue/fmtqfn.ts";
import { dropQueue } from "../qmail/queue/local-queue.ts";
import { qread } from "../qmail/queue/qmail-qread.ts";
import { queueStat as qstat } from "../qmail/queue/qmail-qstat.ts";
import { cleanup } from "../qmail/send/cleanup.ts";
import { QueueFiles } from "../qmail/send/queue-files.ts";
import { readTables } from "../qmail/send/rewrite.ts";
import { Todo } from "../qmail/send/todo.ts";
import { Captured } from "./commands/_output.ts";
import { SendRig } from "./qmail/send/_send.ts";

const HOURS_40 = 40 * 3600;
const NOW = Math.floor(Date.now() / 1000);

/** What somebody may put under a name. Each is as old as what is cleaned away. */
const ODDITIES: Readonly<Record<string, (path: string) => void>> = {
  "a link to a file that is not his": (path) => symlinkSync("/etc/passwd", path),
  "a link to nothing": (path) => symlinkSync("/nowhere/at/all", path),
  "a link to itself": (path) => symlinkSync(path, path),
  "a FIFO": (path) => assert.equal(spawnSync("mkfifo", [path]).status, 0),
  "an empty directory": (path) => mkdirSync(path),
  "a directory with something in it": (path) => {
    mkdirSync(path);
    writeFileSync(join(path, "inside"), "");
  },
  "a file that is closed to us": (path) => {
    writeFileSync(path, "closed");
    CLOSED.add(path);
  },
};

/** What cannot even be opened; the rest cannot be read. */
const HOW: Readonly<Record<string, string>> = {
  "a link to a file that is not his": "unable to open",
  "a link to nothing": "unable to open",
  "a link to itself": "unable to open",
  "a file that is closed to us": "unable to open",
};

/** Root may read everything: these he may not. */
const CLOSED = new Set<string>();

function closeFiles(t: TestContext): void {
  const { openSync } = fs;
  t.mock.method(fs, "openSync", (path: string | Buffer, ...rest: [string]) => {
    if (!CLOSED.has(String(path))) return openSync(path, ...rest);
    throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: "EACCES" });
  });
  syncBuiltinESMExports();
  t.after(() => {
    CLOSED.clear();
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

/** Before a good name of digits and behind it, and such as nobody would choose. */
const NAMES = ["0", "000", "zzz", "a\nb", "\u001b[2Jx", "\u202ecod.exe"];

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-strangers-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** `make` under every name in `directory`, and a file whose name is no text. */
function fill(directory: string, make: (path: string) => void): void {
  for (const name of NAMES) {
    const path = join(directory, name);
    make(path);
    lutimesSync(path, NOW - HOURS_40, NOW - HOURS_40);
  }
}

function makeMaildir(t: TestContext): string {
  const maildir = join(temporary(t), "Maildir");
  for (const sub of ["", "new", "cur", "tmp"]) mkdirSync(join(maildir, sub));
  return maildir;
}

function put(path: string, text = "Subject: good\n\n"): void {
  writeFileSync(path, text);
  utimesSync(path, NOW - 60, NOW - 60);
}

for (const [what, make] of Object.entries(ODDITIES)) {
  test(`${what} in new/ and cur/: POP3 lists and gives the messages`, (t) => {
    const maildir = makeMaildir(t);
    for (const sub of ["new", "cur"]) fill(join(maildir, sub), make);
    put(join(maildir, "new/5"));
    put(join(maildir, "cur/6:2,S"));
    closeFiles(t);
    const mailbox = new Mailbox(maildir, NOW);
    const texts = mailbox.messages.map((message) => {
      const bytes = Buffer.alloc(100);
      try {
        const fd = mailbox.open(message);
        const text = bytes.toString("latin1", 0, readSync(fd, bytes));
        closeSync(fd);
        return text;
      } catch {
        // As "-ERR unable to open that message".
        return null;
      }
    });
    assert.deepEqual(
      texts.filter((text) => text !== null),
      ["Subject: good\n\n", "Subject: good\n\n"],
    );
  });

  test(`${what} in new/: maildirwatch shows the message`, (t) => {
    const maildir = makeMaildir(t);
    fill(join(maildir, "new"), make);
    put(join(maildir, "new/5"), "Return-Path: <a@b>\nSubject: good\n\n");
    closeFiles(t);
    const text = newMail(maildir, NOW * 1000);
    assert.match(text, /FROM <a@b> TO <\?>\ngood/);
    assert.match(text, /^[ -~\n]*$/);
  });

  test(`${what} in new/: maildir2mbox moves the message, and leaves that`, async (t) => {
    const maildir = makeMaildir(t);
    fill(join(maildir, "new"), make);
    put(join(maildir, "new/5"));
    closeFiles(t);
    const env = {
      MAILDIR: maildir,
      MAIL: join(maildir, "mbox"),
      MAILTMP: join(maildir, "mbox.tmp"),
    };
    const said: string[] = [];
    const warn = (line: string) => void said.push(line);
    assert.deepEqual(await maildir2mbox(env, { now: NOW * 1000, warn }), { code: 0, message: "" });
    assert.match(readFileSync(env.MAIL, "latin1"), /^From XXX .*\nSubject: good\n\n\n$/);
    assert.deepEqual(readdirSync(join(maildir, "new")).sort(), [...NAMES].sort());
    for (const line of said) assert.match(line, /^[ -~]*$/);
  });

  test(`${what} in tmp/: what was abandoned goes all the same`, (t) => {
    const maildir = makeMaildir(t);
    fill(join(maildir, "tmp"), make);
    // A delivery cleans, and so does POP3.
    for (const clean of [() => cleanTmp(maildir, NOW * 1000), () => new Mailbox(maildir, NOW)]) {
      writeFileSync(join(maildir, "tmp/5"), "");
      utimesSync(join(maildir, "tmp/5"), NOW - HOURS_40, NOW - HOURS_40);
      clean();
      assert.ok(!existsSync(join(maildir, "tmp/5")));
    }
    assert.ok(existsSync("/etc/passwd"));
  });

  test(`${what} in ~alias: the other aliases are delivered to`, (t) => {
    const home = temporary(t);
    fill(home, make);
    make(join(home, ".qmail-ann"));
    writeFileSync(join(home, ".qmail-joe"), "&joe@elsewhere.test\n");
    closeFiles(t);
    const request = { user: "alias", home, dash: "-", host: "mail.test", sender: "a@b" };
    const find = (ext: string) => {
      const all = { ...request, local: ext, ext, aliasempty: "./Mailbox" };
      return findInstructions(all);
    };
    assert.equal(find("joe").text, "&joe@elsewhere.test\n");
    // It comes to an end, whatever that is: alias has only himself to blame.
    try {
      find("ann");
    } catch (error) {
      assert.ok(error instanceof Error);
    }
  });

  test(`${what} in run/local: a message of a local user is kept`, async (t) => {
    await using rig = new SendRig();
    fill(join(rig.home, "run/local"), make);
    make(join(rig.home, "run/local/qmail-queue"));
    closeFiles(t);
    const message = dropQueue(rig.home).open();
    message.put(Buffer.from("body\n"));
    const result = await message.close("a@b.test", ["joe@mail.test"]);
    assert.ok(result.ok, JSON.stringify(result));
    assert.equal(readdirSync(join(rig.home, "drop")).length, 1);
  });

  test(`${what} in the queue: the others are listed and counted, and that is named`, async (t) => {
    await using rig = new SendRig();
    const { good, odd } = await oddQueue(rig, make);
    closeFiles(t);
    const list = new Captured();
    await queueList({ home: rig.home, ...LIST, output: list });
    for (const id of good) assert.match(list.text, new RegExp(`^ *${id} `, "m"));
    assert.match(list.text, CLOSED.size > 0 ? /\n3 messages\n$/ : /\n2 messages\n$/);
    assert.match(list.notes, /^queue\/\w+\/\S+ was passed over: (?:it is|access)/);
    assert.match(list.notes, /[12] more names? passed over; .*qmailctl queue check\n$/);
    assert.match(list.text + list.notes, /^[ -~\n]*$/);
    const stat = new Captured({ json: true });
    await queueStat({ home: rig.home, selection: {}, top: 10, output: stat });
    assert.equal((stat.documents[0] as { messages: number }).messages, CLOSED.size > 0 ? 3 : 2);
    const lines = [...qread(rig.home)].join("").split("\n");
    assert.ok(lines.some((line) => line.includes(`#${good[0]}  `)));
    // A message that is closed is one all the same, as long as nobody reads it.
    const warned = odd.filter(
      (path) => !/^todo/.test(path) && !(CLOSED.size > 0 && /^mess/.test(path)),
    );
    for (const path of warned) {
      const id = path.split("/").at(-1);
      assert.ok(
        lines.some((line) => line.startsWith(`warning: trouble with #${id}: `)),
        path,
      );
    }
    // A file that is closed is a file all the same.
    if (CLOSED.size === 0) assert.equal(qstat(rig.home).todo, 1);
  });

  test(`${what} in todo: qmail-send takes what is there, and tells once`, async (t) => {
    await using rig = new SendRig();
    const { good } = await oddQueue(rig, make);
    closeFiles(t);
    const { todo, lines, taken } = reader(rig);
    const wanted = good[1] as MessId;
    todo.scan();
    await rig.until(() => taken.length === 1 && told(lines).length === 2, "the message in todo");
    todo.scan();
    await rig.until(() => taken.length === 2, "the message in todo, again");
    assert.deepEqual(taken, [wanted, wanted]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.deepEqual(
      told(lines)
        .map((line) => line.replace(/: .*$/, ""))
        .sort(),
      [
        `${HOW[what] ?? "trouble reading"} todo/5`,
        `${HOW[what] ?? "trouble reading"} todo/9999999999`,
      ],
    );
    for (const line of lines) assert.match(line, /^[ -~]*\n$/);
  });

  test(`${what} in place of lock/trigger: qmail-send says so, and reads todo`, async (t) => {
    await using rig = new SendRig();
    rmSync(join(rig.queue, "lock/trigger"));
    make(join(rig.queue, "lock/trigger"));
    if (what === "a FIFO") return t.skip("that is what it should be");
    closeFiles(t);
    const { todo, lines } = reader(rig);
    todo.watch();
    todo.close();
    assert.match(lines.join(""), /^alert: lock\/trigger is no FIFO.*qmailctl queue check\n$/);
  });

  test(`${what} in mess/: garbage goes, that stays for queue check`, async () => {
    await using rig = new SendRig();
    const garbage = rig.mess();
    utimesSync(rig.path("mess", garbage), NOW - HOURS_40, NOW - HOURS_40);
    for (const id of ["5", "9999999999"]) {
      make(rig.path("mess", id));
      if (!CLOSED.delete(rig.path("mess", id)))
        lutimesSync(rig.path("mess", id), NOW - HOURS_40, NOW - HOURS_40);
    }
    const cleaned: MessId[] = [];
    await cleanup({
      files: new QueueFiles(rig.queue, new GroupSync(), true),
      now: () => NOW,
      cleanMess: async ({ id }) => cleaned.push(id),
      busy: () => false,
      pause: () => assert.fail("cannot read"),
      active: () => true,
    });
    assert.deepEqual(cleaned, [garbage]);
  });
}

/** For `queueList`: all of it. */
const LIST = { selection: {}, sort: null, reverse: false, limit: null, text: null };

/** A queue with a good message in info and one in todo, and five odd names beside them. */
async function oddQueue(rig: SendRig, make: (path: string) => void) {
  const good = [
    rig.made({ sender: "a@b.test", remote: ["Tx@y.test"] }),
    rig.todo("c@d.test", ["e@f.test"]),
  ];
  const closed = rig.made({ sender: "a@b.test", remote: ["Tx@y.test"] });
  const empty = rig.made({ sender: "a@b.test", remote: ["Tx@y.test"] });
  const odd = [
    "todo/5",
    "todo/9999999999",
    fmtqfn("info", "7"),
    fmtqfn("remote", closed),
    fmtqfn("mess", empty),
  ];
  for (const path of odd) {
    rmSync(join(rig.queue, path), { force: true });
    make(join(rig.queue, path));
  }
  for (const directory of ["todo", `info/${splitOf("7")}`, "bounce"]) {
    for (const name of NAMES) make(join(rig.queue, directory, name));
  }
  return { good, odd };
}

const told = (lines: readonly string[]) =>
  lines.flatMap((line) => (line.startsWith("warning: ") ? [line.slice(9).trimEnd()] : []));

/** Reads todo as qmail-send does. */
function reader(rig: SendRig) {
  const lines: string[] = [];
  const taken: MessId[] = [];
  const todo = new Todo({
    queue: rig.queue,
    log: (line) => void lines.push(line),
    now: () => NOW,
    tables: () => readTables(new Control(rig.home)),
    known: () => false,
    take: async ({ id }) => void taken.push(id),
    active: () => true,
    full: () => false,
  });
  return { todo, lines, taken };
}

const MANY = 100_000;

function fillWithMany(directory: string): void {
  for (let at = 1; at <= MANY; at++) symlinkSync("/etc/passwd", join(directory, String(at)));
}

test("100,000 names in a Maildir hide no message", async (t) => {
  const maildir = makeMaildir(t);
  fillWithMany(join(maildir, "new"));
  put(join(maildir, "new/good"));
  assert.deepEqual(
    new Mailbox(maildir, NOW).messages.map(({ path }) => path),
    ["new/good"],
  );
  assert.equal(newMail(maildir, NOW * 1000), "FROM ? TO <?>\ngood//\n\n");
  const env = { MAILDIR: maildir, MAIL: join(maildir, "mbox"), MAILTMP: join(maildir, "mbox.tmp") };
  const said: string[] = [];
  await maildir2mbox(env, { now: NOW * 1000, warn: (line) => void said.push(line) });
  assert.deepEqual(said, []);
  assert.match(readFileSync(env.MAIL, "latin1"), /^From XXX .*\nSubject: good\n\n\n$/);
});

test("100,000 names in todo hide no message, let others have their turn, and are told of in few lines", async () => {
  await using rig = new SendRig();
  fillWithMany(join(rig.queue, "todo"));
  const good = rig.todo("c@d.test", ["e@f.test"]);
  const list = new Captured();
  await queueList({ home: rig.home, ...LIST, output: list });
  assert.match(list.text, new RegExp(`^ *${good}  todo`, "m"));
  assert.match(list.notes, /^(?:queue.*\n){3}99997 more names passed over; .*\n$/);
  assert.deepEqual(qstat(rig.home), { messages: 1, todo: 1 });
  const { todo, lines, taken } = reader(rig);
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  todo.scan();
  await rig.until(() => taken.length === 1, "the message in todo");
  todo.scan();
  await rig.until(() => taken.length === 2, "the message in todo, again");
  clearInterval(ticking);
  assert.ok(told(lines).length <= 101, `${told(lines).length} lines`);
  assert.ok(turns > 20, "others had no turn");
});

test("names that are no text are in nobody's way", async (t) => {
  const maildir = makeMaildir(t);
  for (const sub of ["new", "tmp"]) {
    const path = Buffer.from(`${maildir}/${sub}/0\xff\xfe`, "latin1");
    writeFileSync(path, "Subject: odd\n\n");
    utimesSync(path, NOW - HOURS_40, NOW - HOURS_40);
  }
  put(join(maildir, "new/5"));
  assert.match(newMail(maildir, NOW * 1000), /odd\/\/\n\n.*\ngood\/\/\n\n$/);
  cleanTmp(maildir, NOW * 1000);
  assert.deepEqual(readdirSync(join(maildir, "tmp")), []);
  await using rig = new SendRig();
  writeFileSync(Buffer.from(`${rig.queue}/todo/5\xff`, "latin1"), "");
  const id = rig.todo("c@d.test", ["e@f.test"]);
  const list = new Captured();
  await queueList({ home: rig.home, ...LIST, output: list });
  assert.match(list.text, new RegExp(`^ *${id}  todo`, "m"));
});
