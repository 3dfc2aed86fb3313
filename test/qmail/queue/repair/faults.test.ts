/** Each thing that can be wrong with a queue is found, and mended; what the daemons clear away by themselves is no fault. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { readIds } from "../../../../qmail/ids.ts";
import { formatTrailer } from "../../../../qmail/queue/drop.ts";
import { fmtqfn } from "../../../../qmail/queue/fmtqfn.ts";
import { readHeld } from "../../../../qmail/queue/held.ts";
import { madeOf } from "../../../../qmail/queue/made.ts";
import { parseReceived } from "../../../../qmail/queue/repair/received.ts";
import { lookAtQueue } from "../../../../qmail/queue/repair/repair.ts";
import type { Kind } from "../../../../qmail/queue/repair/survey.ts";
import { CAME, makeTree, type State, type Tree } from "./_tree.ts";

interface Row {
  readonly name: string;
  /** State of the one message in the queue. */
  readonly state?: State;
  /** Spoils it. */
  spoil(tree: Tree, at: (kind: Kind) => string, id: string): void;
  /** What check says; ID for the message's number, N for its directory. */
  readonly faults: readonly string[];
  /** What is in lost+found afterwards. */
  readonly aside?: readonly string[];
  /** The message is whole in the queue afterwards. */
  readonly kept?: boolean;
}

const ROWS: readonly Row[] = [
  {
    name: "a directory is missing",
    spoil: (tree) => rmSync(tree.path("queue/remote/4"), { recursive: true }),
    faults: ["missing queue/remote/4"],
  },
  {
    name: "a directory of the top is missing with all that is in it",
    spoil: (tree) => rmSync(tree.path("queue/bounce"), { recursive: true }),
    faults: ["missing queue/bounce"],
  },
  {
    name: "a file where a directory belongs",
    spoil(tree) {
      rmSync(tree.path("queue/pid"), { recursive: true });
      writeFileSync(tree.path("queue/pid"), "?");
    },
    faults: ["type queue/pid"],
    aside: ["pid"],
  },
  {
    name: "lock is empty, as a copy without special files leaves it",
    spoil(tree) {
      rmSync(tree.path("queue/lock"), { recursive: true });
      mkdirSync(tree.path("queue/lock"), 0o750);
    },
    faults: [
      "missing queue/lock/tcpto",
      "missing queue/lock/sendmutex",
      "missing queue/lock/trigger",
    ],
  },
  {
    name: "the trigger is a file",
    spoil(tree) {
      unlinkSync(tree.path("queue/lock/trigger"));
      writeFileSync(tree.path("queue/lock/trigger"), "");
    },
    faults: ["type queue/lock/trigger"],
    aside: ["lock.trigger"],
  },
  {
    name: "tcpto is cut off",
    spoil: (tree) => truncateSync(tree.path("queue/lock/tcpto"), 100),
    faults: ["size queue/lock/tcpto"],
  },
  {
    name: "modes are those of a copy",
    spoil(tree, at) {
      chmodSync(tree.path("queue/todo"), 0o755);
      chmodSync(tree.path("queue/lock/trigger"), 0o600);
      chmodSync(at("info"), 0o644);
      chmodSync(at("mess"), 0o600);
    },
    faults: [
      "access queue/todo",
      "access queue/lock/trigger",
      "access queue/info/N/ID",
      "access queue/mess/N/ID",
    ],
  },
  {
    name: "strays",
    spoil(tree, at) {
      writeFileSync(`${at("mess")}~`, "x");
      writeFileSync(tree.path("queue/todo/007"), "x");
      writeFileSync(tree.path("queue/note.txt"), "x");
      mkdirSync(tree.path("queue/mess/old"));
      writeFileSync(tree.path("queue/mess/old/1"), "x");
      writeFileSync(Buffer.from(tree.path("queue/info/3/\xe9"), "latin1"), "x");
    },
    faults: [
      "stray queue/mess/N/ID~",
      "stray queue/mess/old",
      "stray queue/info/3/\xe9",
      "stray queue/todo/007",
      "stray queue/note.txt",
    ],
    aside: ["info.3.\xe9", "mess.N.ID~", "mess.old", "note.txt", "todo.007"],
  },
  {
    name: "the table of another message's number is in the way",
    state: "local",
    spoil(tree, _at, id) {
      tree.rename(id, "900000001");
      for (const kind of ["info", "bounce"] as const) {
        writeFileSync(tree.path(`queue/${fmtqfn(kind, id)}`), "Falien;\0", { mode: 0o600 });
      }
    },
    faults: ["stray queue/info/N/ID", "stray queue/bounce/ID", "place queue/info/19/900000001"],
    aside: ["bounce.ID", "info.N.ID"],
  },
  {
    name: "a second info of a message",
    spoil(tree, _at, id) {
      const other = (Number(id) + 1) % 23;
      writeFileSync(tree.path(`queue/info/${other}/${id}`), "Falien;\0", { mode: 0o600 });
      // Not to be seen in the table below.
      renameSync(tree.path(`queue/info/${other}/${id}`), tree.path(`queue/info/${id}`));
    },
    faults: ["stray queue/info/ID"],
    aside: ["info.ID"],
  },
  {
    name: "a message without its info file",
    spoil: (_tree, at) => unlinkSync(at("info")),
    faults: ["broken queue/local/N/ID"],
    aside: ["local.N.ID", "mess.N.ID"],
    kept: false,
  },
  {
    name: "an info file without its bytes",
    spoil: (_tree, at) => truncateSync(at("info"), 0),
    faults: ["broken queue/info/N/ID"],
    aside: ["info.N.ID", "local.N.ID", "mess.N.ID"],
    kept: false,
  },
  {
    name: "recipients are cut off",
    spoil: (_tree, at) => truncateSync(at("local"), 3),
    faults: ["broken queue/info/N/ID"],
    aside: ["info.N.ID", "local.N.ID", "mess.N.ID"],
    kept: false,
  },
  {
    name: "an envelope in todo is cut off",
    state: "todo",
    spoil: (_tree, at) => truncateSync(at("todo"), 9),
    faults: ["broken queue/intd/ID"],
    aside: ["intd.ID", "mess.N.ID", "todo.ID"],
    kept: false,
  },
  {
    name: "a message without text",
    spoil: (_tree, at) => truncateSync(at("mess"), 0),
    faults: ["broken queue/info/N/ID"],
    aside: ["info.N.ID", "local.N.ID", "mess.N.ID"],
    kept: false,
  },
  {
    name: "a message has two names",
    spoil(tree, at) {
      linkSync(at("mess"), tree.path("queue/mess/5/900000000"));
    },
    faults: ["stray queue/mess/5/900000000"],
    aside: ["mess.5.900000000"],
  },
  {
    name: "the directories of the big-todo patch",
    state: "todo",
    spoil(tree, at, id) {
      for (const kind of ["todo", "intd"] as const) {
        mkdirSync(tree.path(`queue/${kind}/11`));
        renameSync(at(kind), tree.path(`queue/${kind}/11/${id}`));
      }
    },
    faults: ["split queue/intd/11", "split queue/todo/11", "place queue/intd/11/ID"],
  },
  {
    name: "two messages of one name, and no telling whose the todo file is",
    state: "todo",
    spoil(tree, _at, id) {
      writeFileSync(tree.path(`queue/mess/${id}`), "x", { mode: 0o644 });
    },
    faults: ["broken queue/intd/ID"],
    aside: ["intd.ID", "mess.ID", "mess.N.ID", "todo.ID"],
    kept: false,
  },
];

for (const { name, state = "local", spoil, faults, aside = [], kept = true } of ROWS) {
  test(name, () => {
    using tree = makeTree();
    const id = tree.add("m", state);
    const at = (kind: Kind) => tree.path(`queue/${fmtqfn(kind, id)}`);
    const before = kept ? tree.files() : [];
    const named = (text: string) => {
      return text.replaceAll("ID", id).replace(/\bN\b/, String(Number(id) % 23));
    };
    spoil(tree, at, id);
    assert.deepEqual(tree.faults(), faults.map(named));
    const content = kept ? [] : [readFileSync(at("mess"))];
    tree.repair();
    assert.deepEqual(tree.faults(), []);
    const shelf = tree.path("queue/lost+found");
    const there = existsSync(shelf) ? readdirSync(shelf, "latin1") : [];
    assert.deepEqual(there.sort(), aside.map(named).sort());
    if (kept) {
      assert.deepEqual([...(tree.tags().get(id) ?? [])], ["m"]);
      const lock = before.filter((file) => !file.startsWith("lock/"));
      assert.deepEqual(
        tree.files().filter((file) => !/^(lock|lost\+found)\//.test(file)),
        lock,
      );
    } else {
      const mess = `${shelf}/${named("mess.N.ID")}`;
      assert.deepEqual([readFileSync(mess)], content);
    }
  });
}

test("what crashes leave is no fault", () => {
  using tree = makeTree();
  tree.add("a", "unfinished");
  writeFileSync(tree.path("queue/pid/77.1.2"), "");
  writeFileSync(tree.path("queue/local/3/3.new"), "T");
  writeFileSync(tree.path("queue/info/3/3"), "F\0", { mode: 0o600 });
  writeFileSync(tree.path("queue/todo/900000001"), "", { mode: 0o644 });
  const { leftovers, messages } = lookAtQueue(tree.home, Date.now() / 1000);
  assert.deepEqual(tree.faults(), []);
  assert.deepEqual(
    [messages, leftovers.unfinished, leftovers.old, leftovers.nameless],
    [0, 1, 0, 2],
  );
  assert.deepEqual([...leftovers.orphans].sort(), ["queue/info/3/3", "queue/todo/900000001"]);
  const later = lookAtQueue(tree.home, Date.now() / 1000 + 40 * 3600);
  assert.equal(later.leftovers.old, 1);
});

test("a held message is held under its new name, too", () => {
  using tree = makeTree();
  mkdirSync(tree.path("held"));
  const ids = ["held", "free", "stale"].map((tag) => tree.add(tag, "local"));
  const made = (id: string) => madeOf(statSync(tree.path(`queue/${fmtqfn("mess", id)}`)));
  const [held = "", , stale = ""] = ids;
  writeFileSync(tree.path("held/messages"), `+${held} ${made(held)}\n+${stale} 77\n`);
  assert.equal(spawnSync("cp", ["-a", tree.path("queue"), tree.path("copy")]).status, 0);
  rmSync(tree.path("queue"), { recursive: true });
  renameSync(tree.path("copy"), tree.path("queue"));
  tree.repair();
  const now = readHeld(tree.home);
  const isHeld = [...tree.tags()].flatMap(([id, [tag]]) => (now.get(id) === made(id) ? [tag] : []));
  assert.deepEqual(isHeld, ["held"]);
});

for (const [options, kept] of [
  ["-a", true],
  ["-r", false],
] as const) {
  test(`cp ${options}: messages ${kept ? "keep" : "get back"} the time when they came`, () => {
    using tree = makeTree();
    const id = tree.add("m", "both");
    // It waited in todo for a while.
    const birth = CAME + 5000;
    utimesSync(tree.path(`queue/${fmtqfn("info", id)}`), birth, birth);
    assert.equal(spawnSync("cp", [options, tree.path("queue"), tree.path("copy")]).status, 0);
    rmSync(tree.path("queue"), { recursive: true });
    renameSync(tree.path("copy"), tree.path("queue"));
    assert.equal(
      tree.faults().some((fault) => fault.startsWith("birth")),
      !kept,
    );
    tree.repair();
    const [[now = ""] = []] = [...tree.tags()];
    assert.notEqual(now, id);
    const { mtimeMs } = statSync(tree.path(`queue/${fmtqfn("info", now)}`));
    assert.equal(mtimeMs / 1000, kept ? birth : CAME);
  });
}

test("a queue behind a symbolic link is looked at, a part of one behind a link is not", () => {
  using tree = makeTree();
  tree.add("m", "local");
  renameSync(tree.path("queue"), tree.path("elsewhere"));
  symlinkSync("elsewhere", tree.path("queue"));
  assert.deepEqual(tree.faults(), []);
  renameSync(tree.path("queue/info"), tree.path("info"));
  symlinkSync(tree.path("info"), tree.path("queue/info"));
  assert.deepEqual(
    tree.faults().filter((fault) => !fault.startsWith("missing")),
    ["type queue/info"],
  );
});

test("a message in drop that lost its group would be lost; one that is not whole means nothing", () => {
  using tree = makeTree();
  for (const name of ["drop", "service"]) mkdirSync(tree.path(name));
  const [message, envelope] = [Buffer.from("\nhello\n"), Buffer.from("F\0Tyou\0\0")];
  const trailer = { size: message.length, envelopeSize: envelope.length, sum: 0 };
  const bytes = Buffer.concat([message, envelope, formatTrailer(trailer)]);
  writeFileSync(tree.path("drop/1.2.ab.msg"), bytes);
  writeFileSync(tree.path("drop/1.3.cd.msg"), bytes.subarray(1));
  const { sandbox: _, ...ids } = readIds(tree.home);
  const others = { ...ids, sandbox: false, gid: { qmail: ids.gid.qmail + 1, nofiles: 1 } };
  const found = lookAtQueue(tree.home, 0, others);
  assert.equal(found.survey.drops.length, 1);
  const [fault] = found.faults.filter((each) => "path" in each && each.path.startsWith("drop/"));
  assert.ok(fault?.fault === "access" && fault.path === "drop/1.2.ab.msg");
  assert.deepEqual(fault.wanted, { ...fault.wanted, uid: fault.found.uid, mode: fault.found.mode });
  assert.equal(fault.wanted.gid, ids.gid.qmail + 1);
  assert.deepEqual(tree.faults(), ["access drop"]);
});

test("the time in qmail-queue's Received line", () => {
  const line = "Received: (qmail 9 invoked by uid 7); 1 Jan 2026 00:00:01 -0000\nX: y\n";
  assert.equal(parseReceived(line), Date.UTC(2026, 0, 1, 0, 0, 1) / 1000);
  for (const wrong of [
    "",
    line.slice(1),
    line.replace("Jan", "anF"),
    line.replace("-0000", "+0100"),
  ]) {
    assert.equal(parseReceived(wrong), null);
  }
});

test("times are only set where the message is found to be a copy", () => {
  using tree = makeTree();
  const id = tree.add("m", "local");
  const info = tree.path(`queue/${fmtqfn("info", id)}`);
  const now = Math.floor(Date.now() / 1000);
  utimesSync(info, now, now);
  assert.deepEqual(tree.faults(), []);
});
