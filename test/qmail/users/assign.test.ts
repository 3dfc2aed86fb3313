import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { cdbGet } from "../../../qmail/cdb/cdb.ts";
import { programPath } from "../../../qmail/programs.ts";
import { AssignError, compileAssign, findAssigned } from "../../../qmail/users/assign.ts";
import { NewuError, newu } from "../../../qmail/users/qmail-newu.ts";

const ASSIGN = `\
+:alias:7790:2108:/var/qmail/alias:-::
+joe-:joe:507:100:/home/joe:-::
=joe:joe:507:100:/home/joe:::
=Joe.Shmoe:shmoe:508:100:/home/shmoe:::
=joe:second:9:9:/never:::
+joe-list-:list:600:600:/home/list:-:l-:
+x.:dots:601:601:/home/dots:-/:pre.:
.
=after:the:1:1:/dot:::
`;

/** Address → key that decides, user, dash, ext. */
const LOOKUPS = [
  ["joe", "=joe", "joe", "", ""],
  ["JOE", "=joe", "joe", "", ""],
  ["joe-", "+joe-", "joe", "-", ""],
  ["joe-Direct", "+joe-", "joe", "-", "Direct"],
  ["joe-a-b-c", "+joe-", "joe", "-", "a-b-c"],
  ["Joe-List-Sub", "+joe-list-", "list", "-", "l-Sub"],
  ["joe-list", "+joe-", "joe", "-", "list"],
  ["joe.shmoe", "=joe.shmoe", "shmoe", "", ""],
  ["joe.shmoe-x", "+", "alias", "-", "joe.shmoe-x"],
  ["x.y", "+x.", "dots", "-/", "pre.y"],
  ["bill", "+", "alias", "-", "bill"],
  ["after", "+", "alias", "-", "after"],
  ["", "+", "alias", "-", ""],
] as const;

for (const [local, key, name, dash, ext] of LOOKUPS) {
  test(`users/assign: ${JSON.stringify(local)} is ${key}`, () => {
    const found = findAssigned(compileAssign(ASSIGN), local);
    assert.equal(found?.key, key);
    const { nughde } = found as NonNullable<typeof found>;
    assert.deepEqual([nughde.name, nughde.dash, nughde.ext], [name, dash, ext]);
  });
}

test("without a wildcard for all, others are nobody's", () => {
  const cdb = compileAssign("=joe:joe:507:100:/home/joe:::\n+jane-:jane:5:5:/home/jane:-::\n.\n");
  assert.equal(findAssigned(cdb, "joe-x"), null);
  assert.equal(findAssigned(cdb, "jane"), null);
  assert.equal(findAssigned(cdb, "jane-")?.nughde.uid, 5);
  // The breaks are the characters that wildcards end in, each once.
  assert.equal(cdbGet(cdb, Buffer.alloc(0))?.toString(), "-");
});

/** What qmail-newu does not take, and the line it names. */
const BAD = [
  ["", 1],
  ["=joe:joe:507:100:/home/joe:::\n", 2],
  ["=joe:joe:507:100:/home/joe:::", 1],
  ["=joe:joe:507:100:/home/joe::\n.\n", 1],
  ["\n.\n", 1],
  ["# comment\n.\n", 1],
  [":joe:507:100:/home/joe:::\n.\n", 1],
  ["=a:a:1:1:/a:::\n=joe\0:joe:507:100:/home/joe:::\n.\n", 2],
] as const;

for (const [text, line] of BAD) {
  test(`users/assign ${JSON.stringify(text)}: bad format in line ${line}`, () => {
    assert.throws(
      () => compileAssign(text),
      (error) => error instanceof AssignError && error.line === line,
    );
  });
}

test("only the dot that begins a line ends it; what follows the last field does not count", () => {
  const cdb = compileAssign("=a.b:u:1:2:/h:-:e:rest:more\n.anything");
  assert.deepEqual(findAssigned(cdb, "A.B")?.nughde, {
    name: "u",
    uid: 1,
    gid: 2,
    home: "/h",
    dash: "-",
    ext: "e",
  });
});

/** The rule of qmail-users(5), said once more and slowly. */
function slowly(lines: readonly { wild: boolean; name: string; user: string }[], local: string) {
  const lower = local.toLowerCase();
  const simple = lines.find(({ wild, name }) => !wild && name.toLowerCase() === lower);
  if (simple) return simple.user;
  const wild = lines
    .filter((line) => line.wild && lower.startsWith(line.name.toLowerCase()))
    .toSorted((a, b) => b.name.length - a.name.length);
  return wild[0]?.user;
}

test("findAssigned agrees with the rule for any lines and addresses", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "B", "-", ".", "+"), maxLength: 6 });
  const line = fc.record({ wild: fc.boolean(), name });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(name), (lines, locals) => {
      const named = lines.map((each, at) => ({ ...each, user: `u${at}` }));
      const text = named.map(
        ({ wild, name: local, user }) => `${wild ? "+" : "="}${local}:${user}:1:1:/:::\n`,
      );
      const cdb = compileAssign(`${text.join("")}.\n`);
      for (const local of locals) {
        assert.equal(findAssigned(cdb, local)?.nughde.name, slowly(named, local));
      }
    }),
  );
});

class Home implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-users-"));
  constructor() {
    mkdirSync(join(this.path, "users"));
  }
  assign(text: string) {
    writeFileSync(join(this.path, "users/assign"), text);
  }
  run() {
    const args = [programPath("users/qmail-newu")];
    const env = { ...process.env, QMAILHOME: this.path };
    return spawnSync(process.execPath, args, { env, encoding: "utf8" });
  }
  [Symbol.dispose]() {
    rmSync(this.path, { recursive: true });
  }
}

test("qmail-newu writes users/cdb for all to read, and leaves the old one when something is wrong", () => {
  using home = new Home();
  const cdb = join(home.path, "users/cdb");
  const missing = home.run();
  assert.equal(missing.status, 111);
  assert.equal(missing.stderr, "qmail-newu: fatal: unable to open users/assign\n");
  home.assign(ASSIGN);
  const made = home.run();
  assert.deepEqual([made.status, made.stdout, made.stderr], [0, "", ""]);
  assert.equal(statSync(cdb).mode & 0o777, 0o644);
  const before = readFileSync(cdb);
  assert.deepEqual(before, compileAssign(ASSIGN));
  home.assign("=joe:joe:507\n.\n");
  const bad = home.run();
  assert.equal(bad.status, 111);
  assert.equal(bad.stderr, "qmail-newu: fatal: bad format in users/assign, line 1\n");
  assert.deepEqual(readFileSync(cdb), before);
  assert.deepEqual(readdirSync(join(home.path, "users")), ["assign", "cdb"]);
});

test("newu says when it cannot write, or users/assign is no file", () => {
  using home = new Home();
  home.assign(".\n");
  mkdirSync(join(home.path, "users/cdb"));
  assert.throws(() => newu(home.path), new NewuError("unable to write users/cdb.tmp"));
  rmSync(join(home.path, "users/assign"));
  mkdirSync(join(home.path, "users/assign"));
  assert.throws(() => newu(home.path), new NewuError("unable to read users/assign"));
});

const withoutTinycdb =
  spawnSync("cdb", ["-h"]).error === undefined ? false : "tinycdb is not installed";

test("tinycdb sees in users/cdb what qmail-newu of C puts there", { skip: withoutTinycdb }, () => {
  using home = new Home();
  home.assign(ASSIGN);
  newu(home.path);
  const dump = spawnSync("cdb", ["-d", join(home.path, "users/cdb")], { encoding: "latin1" });
  assert.equal(
    dump.stdout,
    [
      "+1,35:!->alias\x007790\x002108\0/var/qmail/alias\0-\0",
      "+5,24:!joe-->joe\x00507\x00100\0/home/joe\0-\0",
      "+5,23:!joe\0->joe\x00507\x00100\0/home/joe\0\0",
      "+11,27:!joe.shmoe\0->shmoe\x00508\x00100\0/home/shmoe\0\0",
      "+5,19:!joe\0->second\x009\x009\0/never\0\0",
      "+10,28:!joe-list-->list\x00600\x00600\0/home/list\0-\0l-",
      "+3,31:!x.->dots\x00601\x00601\0/home/dots\0-/\0pre.",
      "+0,2:->-.",
      "\n",
    ].join("\n"),
  );
});
