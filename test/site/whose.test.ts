/**
 * Several hundred combinations of route, owner, extension and .qmail state, delivered by a real qmail-lspawn:
 * destination, environment and log line must be what the documentation says, and `qmailctl explain` must have
 * said the same before.
 */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSite } from "../../commands/explain/site.ts";
import { walk } from "../../commands/explain/walk.ts";
import { Control } from "../../qmail/control/control.ts";
import { delivery } from "../../qmail/send/log.ts";
import { readTables, rewrite } from "../../qmail/send/rewrite.ts";
import { newu } from "../../qmail/users/qmail-newu.ts";
import { LspawnProcess, QmailHome } from "../qmail/spawn/_lspawn.ts";
import {
  type Asked,
  assignText,
  CONTROLS,
  EXTENSIONS,
  type Expected,
  Files,
  OWNERS,
  ROUTES,
  STATES,
} from "./_whose.ts";

const SENDER = "sender@example.com";
const OUTCOMES = { K: "success", Z: "deferral", D: "failure" } as const;

interface Row extends Asked {
  readonly name: string;
  readonly user: string;
  /** As the sender writes it. */
  readonly recipient: string;
  /** What qmail-local gets as local and host. */
  readonly local: string;
  readonly host: string;
  readonly state: string;
}

function rows(home: string): Row[] {
  const all: Row[] = [];
  for (const { base, user, home: userHome, asks } of OWNERS) {
    for (const extension of EXTENSIONS) {
      const local = base + extension;
      // An owner without wildcard leaves its extensions to alias.
      const asked = asks(extension) ?? { dash: "-", ext: local };
      const own = asks(extension) !== null;
      for (const [route, address] of Object.entries(ROUTES)) {
        const recipient = address(local);
        if (recipient === null) continue;
        for (const state of Object.keys(STATES)) {
          all.push({
            name: `${recipient} (${route}), ${state}`,
            user: own ? user : "alias",
            home: own ? join(home, "homes", userHome) : join(home, "alias"),
            ...asked,
            recipient,
            local,
            host: recipient.slice(recipient.lastIndexOf("@") + 1),
            state,
          });
        }
      }
    }
  }
  return all;
}

/** Where the message is now, below `home`; takes it away. */
function collect(home: string): string[] {
  const found: string[] = [];
  for (const name of ["Maildir", "exact", "fallback"]) {
    const directory = join(home, name, "new");
    for (const file of readdirSync(directory)) {
      found.push(name);
      rmSync(join(directory, file));
    }
  }
  if (existsSync(join(home, "Mailbox"))) found.push("Mailbox");
  return found.toSorted();
}

function environment(row: Row, expected: Expected): Record<string, string | undefined> {
  const { local, host, ext } = row;
  const after = (count: number) => ext.split("-").slice(count).join("-");
  const before = (count: number) => {
    const labels = host.split(".");
    return labels.slice(0, Math.max(1, labels.length - count)).join(".");
  };
  return {
    USER: row.user,
    HOME: row.home,
    LOCAL: local,
    HOST: host,
    HOST2: before(1),
    HOST3: before(2),
    HOST4: before(3),
    EXT: ext,
    EXT2: after(1),
    EXT3: after(2),
    EXT4: after(3),
    RECIPIENT: `${local}@${host}`,
    SENDER,
    NEWSENDER: SENDER,
    DTLINE: `Delivered-To: ${local}@${host}`,
    RPLINE: `Return-Path: <${SENDER}>`,
    DEFAULT: expected.default ?? undefined,
  };
}

/** NAME=value lines as `env` prints them; of a value of several lines the first. */
function ran(home: string): Record<string, string | undefined> {
  const text = readFileSync(join(home, "ran"), "latin1");
  return Object.fromEntries(
    text
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

function checkEnvironment(row: Row, expected: Expected): void {
  const actual = ran(row.home);
  for (const [name, value] of Object.entries(environment(row, expected))) {
    assert.equal(actual[name], value, `${row.name}: ${name}`);
  }
  assert.match(actual.UFLINE ?? "", /^From sender@example\.com [A-Z]/);
}

function checkForward(row: Row, { forwarded }: Expected, home: QmailHome): void {
  const queued = home.queued(`Delivered-To: ${row.local}@${row.host}\nSubject: x\n`);
  assert.equal(queued.length, forwarded ? 1 : 0, row.name);
  if (!forwarded) return;
  const to = forwarded.map((recipient) => `T${recipient}\0`).join("");
  assert.ok(queued[0]?.includes(`F${SENDER}\0${to}\0`), row.name);
}

async function checkExplain(home: string, row: Row, expected: Expected): Promise<void> {
  const explanation = await walk(openSite(home), row.recipient);
  const { user, report, actions, steps } = explanation;
  const { name, home: at, dash, ext } = user ?? {};
  const is = { name, home: at, dash, ext };
  assert.deepEqual(is, { name: row.user, home: row.home, dash: row.dash, ext: row.ext }, row.name);
  if (!expected.unforeseen) {
    const said = expected.report.startsWith("K") ? "K" : expected.report;
    assert.equal(report.status + report.text, said, row.name);
    const stored = actions
      .filter(({ path, trouble }) => path !== null && !trouble)
      .map(({ path }) => path?.slice(row.home.length + 1).replace(/\/$/, "") ?? "");
    assert.deepEqual(stored.toSorted(), (expected.stored ?? []).toSorted(), row.name);
  }
  const forwards = actions.flatMap(({ forward }) => (forward ? forward.recipient : []));
  assert.deepEqual(forwards, expected.forwarded ?? [], row.name);
  const { file } = expected;
  if (file) {
    const step = steps.find(({ topic }) => topic === "file");
    assert.ok(step?.text.startsWith(join(row.home, file)), `${row.name}: ${step?.text}`);
    const [first] = actions;
    if (first && expected.report !== "Kdid 1+0+0\n") {
      assert.ok(first.source.startsWith(`${join(row.home, file)}:`), row.name);
    }
  }
}

test("the table of whose mail is what", { timeout: 120_000 }, async (t) => {
  using home = new QmailHome();
  for (const [name, text] of Object.entries(CONTROLS)) home.write(`control/${name}`, text);
  home.write("rc", "exec qmail-start ./Maildir/ splogger\n");
  const ids = `${process.getuid?.()}:${process.getgid?.()}`;
  home.write(
    "users/assign",
    assignText(join(home.path, "homes"), () => ids),
  );
  newu(home.path);
  const tables = readTables(new Control(home.path));
  const all = rows(home.path);
  await using lspawn = new LspawnProcess(home.path, "./Maildir/");
  let checked = 0;
  const check = async (row: Row, files: Files) => {
    const expected = STATES[row.state]?.(row, files);
    if (!expected) return;
    try {
      await checkExplain(home.path, row, expected);
      const { channel, address } = rewrite(tables, row.recipient);
      assert.equal(channel, "local", row.name);
      const report = (await lspawn.deliver(address, { sender: SENDER })).replace(
        /\nqp \d+\n/,
        "\nqp {QP}\n",
      );
      assert.equal(report, expected.report, row.name);
      const line = delivery(1, OUTCOMES[report[0] as "K"], report.slice(1));
      assert.match(line, /^delivery 1: (success|deferral|failure): [!-~]+\n$/, row.name);
      assert.deepEqual(collect(row.home), (expected.stored ?? []).toSorted(), row.name);
      checkForward(row, expected, home);
      if (expected.default !== undefined) checkEnvironment(row, expected);
      checked++;
    } finally {
      files.clear();
    }
  };
  // Homes side by side, the rows of one home one after another.
  const byHome = Map.groupBy(all, (row) => row.home);
  await Promise.all(
    [...byHome].map(async ([path, some]) => {
      const files = new Files(path);
      for (const row of some) await check(row, files);
    }),
  );
  t.diagnostic(`${checked} rows`);
  assert.ok(checked > 700);
  // All of them were one user's: one worker has served them.
  assert.equal(lspawn.workers().length, 1);
});

test("an exception in virtualdomains and an unknown domain are remote, and explain knows the route", async () => {
  using home = new QmailHome();
  for (const [name, text] of Object.entries(CONTROLS)) home.write(`control/${name}`, text);
  home.write("control/smtproutes", "a.test:relay.test:2525\n.test:\n");
  const site = openSite(home.path);
  const steps = async (address: string) => (await walk(site, address)).steps;
  assert.deepEqual(
    (await steps("x@not.wild.test")).map(({ text, source }) => [text, source]),
    [
      ["not.wild.test is remote: an exception", "control/virtualdomains:4"],
      ["to the mail exchangers (MX) of not.wild.test", "control/smtproutes:2"],
    ],
  );
  assert.deepEqual((await steps("x@a.test"))[1]?.text, "through relay.test, port 2525");
  assert.equal((await steps("x@b.example"))[1]?.source, null);
});
