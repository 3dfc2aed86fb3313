/** What root does in the directories of qmailq, qmails and alias: nothing that these have put there leads it elsewhere. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Config } from "../../commands/config.ts";
import { aliases } from "../../commands/install/aliases.ts";
import { fileRow, InstallContext, type Row } from "../../commands/install/step.ts";
import { hierRow } from "../../commands/install/users.ts";
import { HIER } from "../../qmail/hier.ts";
import type { Ids } from "../../qmail/ids.ts";
import { splitOf } from "../../qmail/queue/fmtqfn.ts";
import { lookAtQueue, makeSteps, repairSteps, takeQueue } from "../../qmail/queue/repair/repair.ts";
import type { Action } from "../../qmail/send/action.ts";
import type { Answer } from "../../qmail/send/action-protocol.ts";
import { StoppedQueue } from "../../qmail/send/stopped-queue.ts";
import { ForeignHome, IDS, NEEDS_ROOT } from "./_foreign.ts";

const options = { skip: NEEDS_ROOT };

const ACTIONS: readonly Action[] = [
  { type: "bounce", text: "returned" },
  { type: "redirect", to: "ann@elsewhere.test" },
  { type: "expire" },
  { type: "retry" },
  { type: "hold" },
  { type: "release" },
  { type: "delete" },
];

/** What the users may put in the place of what: a name, with %N and %ID those of the message; what it leads to. */
const TRAPS: readonly (readonly [name: string, target: string])[] = [
  ["queue/bounce/%ID", "shadow"],
  ["queue/bounce/%ID", "made"],
  ["queue/bounce", "."],
  ["queue/remote/%N/%ID", "shadow"],
  ["queue/remote/%N/%ID.new", "shadow"],
  ["queue/remote/%N/%ID.new", "made"],
  ["queue/remote/%N", "."],
  ["queue/local/%N", "."],
  ["queue/info/%N/%ID", "shadow"],
  ["queue/info/%N", "."],
  ["queue/intd", "."],
  ["queue/lock/sendmutex", "shadow"],
  ["queue/lock", "."],
  ["held/messages", "shadow"],
  ["held/messages", "made"],
];

for (const action of ACTIONS) {
  test(
    `stopped: ${action.type} goes through no link that qmails or qmailq has put there`,
    options,
    async () => {
      for (const [name, target] of TRAPS) {
        using home = new ForeignHome();
        const { id, made } = home.message();
        const where = name.replace("%ID", id).replace("%N", String(splitOf(id)));
        home.link(where, join(home.victim, target));
        const before = home.state();
        await act(home, action, { id, made });
        assert.equal(home.state(), before, `${action.type} with ${name} -> ${target}`);
        assert.deepEqual([process.geteuid?.(), process.getegid?.()], [0, process.getgid?.()]);
      }
    },
  );
}

async function verdictsOf(answers: AsyncIterable<Answer> | undefined): Promise<Answer[]> {
  const all: Answer[] = [];
  for await (const answer of answers ?? []) all.push(answer);
  return all;
}

async function act(home: ForeignHome, action: Action, target: { id: string; made: number }) {
  let queue: StoppedQueue | null = null;
  try {
    queue = StoppedQueue.lock(home.home, IDS);
    const verdicts = await verdictsOf(queue?.act(action, [target]));
    assert.equal(verdicts.length, 1);
  } catch (error) {
    assert.match(String((error as NodeJS.ErrnoException).code), /^(EACCES|ENOENT|ELOOP)$/);
  } finally {
    queue?.close();
  }
}

test(
  "stopped: without traps each action is done, and its files belong to qmails",
  options,
  async () => {
    for (const action of ACTIONS.filter(({ type }) => type !== "release")) {
      using home = new ForeignHome();
      const queue = StoppedQueue.lock(home.home, IDS) as StoppedQueue;
      const target = home.message();
      const [verdict] = await verdictsOf(queue.act(action, [target]));
      queue.close();
      assert.equal(verdict?.outcome, "done", `${action.type}: ${verdict?.reason}`);
      const files = readdirSync(home.home, { recursive: true, encoding: "utf8" });
      for (const name of files.filter((each) =>
        /^(queue.(info|bounce|remote|local)|held).*\/\d*m?/.test(each),
      )) {
        const { uid, gid } = lstatSync(home.path(name));
        assert.deepEqual([name, uid, gid], [name, IDS.uid.qmails, IDS.gid.qmail]);
      }
    }
  },
);

test("repair mends what is wrong, and goes through no link that appears meanwhile", options, () => {
  const swaps = [
    "queue/mess/%N",
    "queue/remote/%N",
    "queue/info",
    "queue/lock",
    "queue/lost+found",
    "held",
  ];
  for (const swap of ["", ...swaps]) {
    using home = new ForeignHome();
    const { id } = home.message();
    spoil(home, id);
    const before = home.state();
    const name = swap.replace("%N", String(splitOf(id)));
    const look = () => lookAtQueue(home.home, Date.now() / 1000, IDS);
    const steps = repairSteps(look());
    assert.ok(steps.length > 5);
    let swapped = swap === "";
    try {
      makeSteps(home.home, steps, {
        ids: IDS,
        before: ({ path }) => {
          if (swapped || !path.startsWith(name)) return;
          home.link(name, join(home.victim, "."));
          swapped = true;
        },
      });
    } catch (error) {
      assert.match((error as Error).message, /symbolic link|ENOENT|ENOTDIR|ELOOP|EEXIST|no file/);
    }
    assert.equal(home.state(), before, swap);
    if (swap === "") assert.deepEqual(look().faults, []);
  }
});

/** Wrong owners and modes, as after a copy by root, a stray, and a mutex of the wrong size. */
function spoil(home: ForeignHome, id: string): void {
  for (const kind of ["mess", "info", "remote"]) {
    const path = home.path(`queue/${kind}/${splitOf(id)}/${id}`);
    assert.equal(spawnSync("chown", ["0:0", path]).status, 0);
  }
  assert.equal(
    spawnSync("chmod", ["777", home.path("queue/info"), home.path("queue/lock")]).status,
    0,
  );
  for (const name of ["info", "mess/3", "lock"]) {
    assert.equal(spawnSync("touch", [home.path(`queue/${name}/stray`)]).status, 0);
  }
  rmSync(home.path("queue/lock/tcpto"));
}

test("repair gives away no file that has another name elsewhere", options, () => {
  using home = new ForeignHome();
  const { id } = home.message();
  const path = home.path(`queue/remote/${splitOf(id)}/${id}`);
  rmSync(path);
  linkSync(join(home.victim, "new"), path);
  const before = home.state();
  const steps = repairSteps(lookAtQueue(home.home, Date.now() / 1000, IDS));
  assert.throws(() => makeSteps(home.home, steps, { ids: IDS }), /another name|no file of its own/);
  assert.equal(home.state(), before);
});

test(
  "repair locks no other file than the mutex, and waits for nothing in its place",
  options,
  () => {
    using home = new ForeignHome();
    home.link("queue/lock/sendmutex", join(home.victim, "shadow"));
    assert.throws(() => takeQueue(home.home), /ELOOP/);
    rmSync(home.path("queue/lock/sendmutex"));
    assert.equal(spawnSync("mkfifo", [home.path("queue/lock/sendmutex")]).status, 0);
    assert.throws(() => takeQueue(home.home), /no file/);
  },
);

/** Install in `home`, with the users of `IDS`. */
class Context extends InstallContext {
  override ids(): Ids {
    return IDS;
  }
}

function contextOf(home: ForeignHome, fields: Partial<Config> = {}, force = false): Context {
  const config = { home: home.home, sandbox: false, hubs: null, aliases: {}, ...fields };
  return new Context(
    { srsDomain: null, assign: null, defaultDelivery: "./Maildir/", ...config } as Config,
    force,
  );
}

async function applied(row: Row): Promise<void> {
  try {
    if (row.inspect() !== null && !row.edits?.()) await row.apply();
  } catch (error) {
    assert.match(
      (error as Error).message,
      /in the way|symbolic link|ELOOP|another file|another name|EEXIST|ENOENT|ENOTDIR/,
    );
  }
}

test(
  "install follows no link in a directory that is not root's, and gives away nothing behind one",
  options,
  async () => {
    const foreign = HIER.filter(({ path }) => /^(queue|alias|run\/(net|local)|held)\//.test(path));
    assert.ok(foreign.length > 90);
    for (const entry of foreign) {
      using home = new ForeignHome();
      const row = hierRow(contextOf(home), entry);
      assert.equal(row.inspect(), null);
      const target = { directory: "directory", file: "shadow", fifo: "shadow" }[entry.type];
      home.link(entry.path, join(home.victim, target));
      const before = home.state();
      await applied(row);
      assert.equal(home.state(), before, entry.path);
    }
  },
);

test("install follows no directory that has become a link on the way", options, async () => {
  const inner = HIER.filter(
    ({ path }) => /^queue\/[a-z]+\/[a-z0-9]+$/.test(path) && !/\/([2-9]|1.|2.)$/.test(path),
  );
  for (const entry of inner) {
    using home = new ForeignHome();
    const row = hierRow(contextOf(home), { ...entry, mode: 0o777 });
    assert.notEqual(row.inspect(), null);
    // What the parent's owner does between looking and doing.
    home.link(entry.path.slice(0, entry.path.lastIndexOf("/")), home.victim);
    const before = home.state();
    const apply = async () => await row.apply();
    await assert.rejects(apply, /symbolic link|EACCES|ENOENT/);
    assert.equal(home.state(), before, entry.path);
  }
});

test("install makes what is missing and mends owners and modes", options, async () => {
  using home = new ForeignHome();
  rmSync(home.path("queue"), { recursive: true });
  const context = contextOf(home);
  for (const entry of HIER) await hierRow(context, entry).apply();
  for (const { path, owner, group, mode } of HIER) {
    const stat = statSync(home.path(path));
    const uid = owner === "root" ? 0 : IDS.uid[owner];
    assert.deepEqual(
      [path, stat.uid, stat.gid, stat.mode & 0o7777],
      [path, uid, IDS.gid[group], mode],
    );
  }
});

test("install reads and writes no alias through a link of the user alias", options, async () => {
  for (const target of ["shadow", "made"]) {
    for (const force of [false, true]) {
      using home = new ForeignHome();
      home.link("alias/.qmail-root", join(home.victim, target));
      const before = home.state();
      const file = { name: "alias/.qmail-root", mode: 0o644, content: "joe\n" };
      const row = fileRow(contextOf(home, {}, force), file);
      const edits = row.edits?.() ?? [];
      assert.doesNotMatch(edits.join(), /secret/);
      assert.equal(edits.length, force ? 0 : 1);
      if (force) {
        await row.apply();
        assert.equal(lstatSync(home.path(file.name)).isFile(), true);
      }
      assert.equal(home.state(), before);
    }
  }
});

test("the Maildirs of aliases are made by the user alias", options, async () => {
  using home = new ForeignHome();
  home.link("alias/you", home.victim);
  const before = home.state();
  const context = contextOf(home, { aliases: { you: ["./you/Maildir/"] } });
  const rows = await aliases.rows(context);
  for (const row of rows.filter(({ name }) => name.endsWith("/"))) {
    try {
      await row.apply();
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EACCES");
    }
  }
  assert.equal(home.state(), before);
  assert.equal(statSync(home.path("alias/Maildir/new")).uid, IDS.uid.alias);
  assert.equal(existsSync(join(home.victim, "Maildir")), false);
});

test("a queue on another disk is one: root's own link is followed", options, async () => {
  using home = new ForeignHome();
  const elsewhere = join(home.directory, "disk");
  mkdirSync(elsewhere);
  assert.equal(spawnSync("mv", [home.path("queue"), elsewhere]).status, 0);
  home.link("queue", join(elsewhere, "queue"));
  const context = contextOf(home);
  for (const entry of HIER) assert.equal(hierRow(context, entry).inspect(), null, entry.path);
  const bounce = HIER.find(({ path }) => path === "queue/bounce");
  assert.ok(bounce);
  rmSync(home.path("queue/bounce"), { recursive: true });
  await hierRow(context, bounce).apply();
  assert.equal(statSync(join(elsewhere, "queue/bounce")).uid, IDS.uid.qmails);
});
