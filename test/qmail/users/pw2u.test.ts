import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConstMap, ConstSet } from "../../../qmail/control/constmap.ts";
import { programPath } from "../../../qmail/programs.ts";
import { compileAssign } from "../../../qmail/users/assign.ts";
import { DEFAULTS, type Pw2uFiles, type Pw2uOptions, pw2u } from "../../../qmail/users/pw2u.ts";
import { parseOptions } from "../../../qmail/users/qmail-pw2u.ts";

const PASSWD = `\
root:x:0:0:root:/root:/bin/sh
alias:x:70:71::/alias:/bin/false
joe:x:507:100:Joe:/home/joe:/bin/sh
Big:x:508:100::/home/Big:/bin/sh
gone:x:509:100::/home/gone:/bin/sh
stolen:x:510:100::/home/stolen:/bin/sh
short:x:511:100::/home/short
`;

const OWNERS: Readonly<Record<string, number>> = {
  "/alias": 70,
  "/home/joe": 507,
  "/home/Big": 508,
  "/home/stolen": 1,
};

const NO_FILES: Pw2uFiles = {
  include: null,
  exclude: null,
  mailnames: null,
  subusers: null,
  append: null,
};

const ALIAS =
  "+:alias:70:71:/alias:-::\n=alias:alias:70:71:/alias:::\n+alias-:alias:70:71:/alias:-::\n";
const JOE = "=joe:joe:507:100:/home/joe:::\n+joe-:joe:507:100:/home/joe:-::\n";
const BIG = "=Big:Big:508:100:/home/Big:::\n+Big-:Big:508:100:/home/Big:-::\n";

/** What is asked, and the lines that come; all but the last: a dot. */
const CASES: readonly (readonly [string, Partial<Pw2uOptions>, Partial<Pw2uFiles>, string])[] = [
  ["by default", {}, {}, ALIAS + JOE],
  ["-u: capitals too", { uppercase: true }, {}, ALIAS + JOE + BIG],
  [
    "-H: whatever the home is",
    { home: "ignore" },
    {},
    `${ALIAS}${JOE}=gone:gone:509:100:/home/gone:::\n+gone-:gone:509:100:/home/gone:-::\n=stolen:stolen:510:100:/home/stolen:::\n+stolen-:stolen:510:100:/home/stolen:-::\n`,
  ],
  [
    "-C: no extensions",
    { break: "" },
    {},
    "+:alias:70:71:/alias:-::\n=alias:alias:70:71:/alias:::\n=joe:joe:507:100:/home/joe:::\n",
  ],
  [
    "-c+: another break",
    { break: "+" },
    {},
    ALIAS.replace("alias-", "alias+") + JOE.replace("joe-", "joe+"),
  ],
  ["-/: a directory", { slash: true }, {}, (ALIAS + JOE).replaceAll(":-::", ":-/::")],
  ["include", {}, { include: new ConstSet(["ALIAS"]) }, ALIAS],
  ["exclude", {}, { exclude: new ConstSet(["joe", "x"]) }, ALIAS],
  [
    "mailnames: replace the name",
    {},
    { mailnames: new ConstMap(["joe:j::joseph:", "nobody:x"]) },
    `${ALIAS}=j:joe:507:100:/home/joe:::\n+j-:joe:507:100:/home/joe:-::\n=joseph:joe:507:100:/home/joe:::\n+joseph-:joe:507:100:/home/joe:-::\n`,
  ],
  ["mailnames: none at all", {}, { mailnames: new ConstMap(["joe:"]) }, ALIAS],
  [
    "subusers, and lines that are none",
    {},
    { subusers: "sales:JOE:shop:\nshort:joe:x\nshorter:joe\n\n" },
    `${ALIAS}${JOE}=sales:joe:507:100:/home/joe:-:shop:\n+sales-:joe:507:100:/home/joe:-:shop-:\n`,
  ],
  [
    "subusers without extensions",
    { break: "" },
    { subusers: "sales:joe:shop:\n", include: new ConstSet(["alias", "joe"]) },
    "+:alias:70:71:/alias:-::\n=alias:alias:70:71:/alias:::\n=joe:joe:507:100:/home/joe:::\n=sales:joe:507:100:/home/joe:-:shop:\n",
  ],
  [
    "append",
    {},
    { append: "=extra:joe:507:100:/home/joe:-:extra:\n" },
    `${ALIAS}${JOE}=extra:joe:507:100:/home/joe:-:extra:\n`,
  ],
];

function run(passwd: string, options: Partial<Pw2uOptions>, files: Partial<Pw2uFiles> = {}) {
  return pw2u(
    passwd,
    { ...DEFAULTS, ...options },
    { files: { ...NO_FILES, ...files }, ownerOf: (home) => OWNERS[home] ?? null },
  );
}

for (const [name, options, files, expected] of CASES) {
  test(`qmail-pw2u ${name}`, () => {
    const text = run(PASSWD, options, files);
    assert.equal(text, `${expected}.\n`);
    // And qmail-newu takes it.
    compileAssign(text);
  });
}

test("qmail-pw2u stops when it must", () => {
  assert.throws(() => run(PASSWD, { home: "stop" }), /^Error: unable to stat \/home\/gone$/);
  assert.throws(() => run("joe:x:507:100::/home/joe:\n", {}), /unable to find alias user/);
  assert.throws(
    () => run(PASSWD, {}, { subusers: "a:gone:b:\n" }),
    /unable to find gone user for subuser/,
  );
});

test("options: the last of two that contradict wins", () => {
  assert.deepEqual(parseOptions([]), DEFAULTS);
  assert.deepEqual(parseOptions(["-Hu/c+"]), {
    home: "ignore",
    uppercase: true,
    slash: true,
    break: "+",
  });
  assert.deepEqual(parseOptions(["-H", "-h", "-o", "-u", "-U", "-c", "+", "-C"]), {
    ...DEFAULTS,
    break: "",
  });
  assert.equal(typeof parseOptions(["-x"]), "string");
  assert.equal(typeof parseOptions(["-c"]), "string");
});

test("the program reads users/ of its home, and standard input", () => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-pw2u-"));
  try {
    mkdirSync(join(home, "users"));
    const passwd = `alias:x:70:71::/nowhere:\njoe:x:5:6::/nowhere:\njane:x:7:8::/nowhere:\n`;
    const pw = (...args: string[]) =>
      spawnSync(process.execPath, [programPath("users/qmail-pw2u"), ...args], {
        env: { ...process.env, QMAILHOME: home },
        input: passwd,
        encoding: "latin1",
      });
    writeFileSync(join(home, "users/exclude"), "# not she\njane \n");
    writeFileSync(join(home, "users/append"), "=x:x:1:1:/x:::");
    assert.equal(
      pw("-HC").stdout,
      "+:alias:70:71:/nowhere:-::\n=alias:alias:70:71:/nowhere:::\n=joe:joe:5:6:/nowhere:::\n=x:x:1:1:/x:::.\n",
    );
    const none = pw();
    assert.equal(none.stderr, "qmail-pw2u: fatal: unable to find alias user\n");
    assert.equal(none.status, 111);
    assert.equal(pw("-z").status, 100);
    mkdirSync(join(home, "users/include"));
    assert.equal(pw().stderr, "qmail-pw2u: fatal: unable to read controls\n");
  } finally {
    rmSync(home, { recursive: true });
  }
});
