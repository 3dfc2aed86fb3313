import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QLX } from "../../../qmail/exit.ts";
import { programPath } from "../../../qmail/programs.ts";
import type { AccountsView } from "../../../qmail/users/getpw.ts";
import { findUser, userCandidates } from "../../../qmail/users/getpw.ts";
import { NughdeError, userOrAlias } from "../../../qmail/users/nughde.ts";

const LONG = "a".repeat(31);

/** Name, uid, who owns the home (null: not there). */
const ACCOUNTS: Readonly<Record<string, readonly [number, number | null]>> = {
  root: [0, 0],
  joe: [507, 507],
  "joe-work": [508, 508],
  stolen: [509, 1],
  homeless: [510, null],
  Capital: [511, 511],
  alias: [7790, 7790],
  [LONG]: [512, 512],
  [`${LONG}b`]: [513, 513],
  nfs: [514, 514],
};

const view: AccountsView = {
  async account(name) {
    const found = ACCOUNTS[name];
    return found ? { name, uid: found[0], gid: 100, home: `/home/${name}`, shell: "" } : null;
  },
  async homeOwner(home) {
    if (home === "/home/nfs") throw new NughdeError(QLX.nfs);
    return ACCOUNTS[home.slice("/home/".length)]?.[1] ?? null;
  },
};

/** Address → user, dash, extension. */
const CASES = [
  ["joe", "joe", "", ""],
  ["JOE", "joe", "", ""],
  ["joe-", "joe", "-", ""],
  ["joe-Ext", "joe", "-", "Ext"],
  ["joe-a-b", "joe", "-", "a-b"],
  ["joe-work", "joe-work", "", ""],
  ["joe-work-x", "joe-work", "-", "x"],
  ["joe.x", "alias", "-", "joe.x"],
  ["root", "alias", "-", "root"],
  ["stolen", "alias", "-", "stolen"],
  ["homeless-x", "alias", "-", "homeless-x"],
  ["capital", "alias", "-", "capital"],
  ["Capital", "alias", "-", "Capital"],
  ["nobody-a-b", "alias", "-", "nobody-a-b"],
  ["alias", "alias", "", ""],
  ["alias-x", "alias", "-", "x"],
  ["-joe", "alias", "-", "-joe"],
  ["-", "alias", "-", "-"],
  [LONG, LONG, "", ""],
  [`${LONG}b`, "alias", "-", `${LONG}b`],
  [`joe-${"x".repeat(900)}`, "joe", "-", "x".repeat(900)],
] as const;

for (const [local, name, dash, ext] of CASES) {
  test(`qmail-getpw ${local.slice(0, 40)}: ${name}`, async () => {
    const { nughde, by } = await userOrAlias(local, view);
    assert.deepEqual([nughde.name, nughde.dash, nughde.ext], [name, dash, ext]);
    assert.equal(by, name === "alias" && dash === "-" && ext === local ? "alias" : "user");
  });
}

test("what was tried is told, with why it does not count", async () => {
  const { candidates } = await findUser("root-stolen-homeless", view);
  assert.deepEqual(
    candidates.map(({ name }) => name),
    ["root-stolen-homeless", "root-stolen", "root"],
  );
  assert.match(candidates[2]?.objection ?? "", /^uid 0/);
  const [stolen] = (await findUser("stolen", view)).candidates;
  assert.equal(stolen?.objection, "its home /home/stolen belongs to uid 1, not 509");
  const [homeless] = (await findUser("homeless", view)).candidates;
  assert.equal(homeless?.objection, "its home /home/homeless is not there");
});

test("an address of many breaks is no more than 31 look-ups", () => {
  assert.ok(userCandidates("-".repeat(10_000)).length <= 31);
});

test("a home that cannot be looked at, or no alias user, is trouble and no answer", async () => {
  const code = (expected: number) => (error: unknown) =>
    error instanceof NughdeError && error.code === expected;
  await assert.rejects(userOrAlias("nfs-x", view), code(QLX.nfs));
  const noAlias = { ...view, account: async () => null };
  await assert.rejects(userOrAlias("x", noAlias), code(QLX.noAlias));
});

test("the program prints six strings that end in NUL", () => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-getpw-"));
  try {
    writeFileSync(join(home, ".sandbox"), "");
    mkdirSync(join(home, "alias"));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [programPath("users/qmail-getpw"), ...args], {
        env: { ...process.env, QMAILHOME: home },
        encoding: "latin1",
      });
    const uid = process.getuid?.();
    const gid = process.getgid?.();
    assert.equal(run("Some-Body").stdout, `alias\0${uid}\0${gid}\0${home}/alias\0-\0Some-Body\0`);
    assert.equal(run().status, 100);
  } finally {
    rmSync(home, { recursive: true });
  }
});
