/** dot-forward, fastforward and their friends beside Debian's: same input, same result. */

import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { debianMissing, type Ran, Twins } from "./_debian.ts";

const skip = debianMissing();

/** What `-n` says: theirs on standard error. */
function said({ stdout, stderr }: Ran): string {
  return (stdout + stderr).replace(/^.*skipping empty file.*\n/m, "");
}

const MESSAGE = "Subject: x\n\nbody";

/** .forward files whose meaning is the same to both; `-n` shows it. */
const FORWARDS = [
  "bob, fred@x.y\nann\n",
  "Joe Shmoe <shmoe@heaven>\n",
  "bob (Bob, the postmaster) @heaven.af.mil\n",
  "joe\n",
  "JOE@Yp.To\n",
  "\\joe\n",
  '"joe"@yp.to, "|cmd a b"\n',
  "|cmd\n",
  '"|cmd" @x\n',
  '"spaced out mailbox"@x+\n',
  "a b c\n",
  "grp: a, b;\n",
  "# comment\n\n(c)\n",
  "a@[1.2.3.4], a <b@c> d@e,,\n",
  'j"o"e, "|a\\"b"\n',
  "joe@yp.to, bob\n",
  "/file\n",
  '"\n',
  "a@b>\n",
  "",
];

for (const text of FORWARDS) {
  test(`dot-forward -n of ${JSON.stringify(text)}`, { skip }, () => {
    using twins = new Twins();
    twins.write("forward", text);
    const ours = twins.ours("dot-forward", ["-n", "none", "forward"]);
    const theirs = twins.debian("dot-forward", ["-n", "none", "forward"]);
    assert.equal(ours.code, theirs.code);
    // Theirs has printed what came before a fault.
    if (theirs.code !== 111) assert.equal(ours.stdout, said(theirs));
  });
}

for (const text of [
  "bob, fred\nann\n",
  "joe, bob",
  'bob\n"|cat >out"\n',
  '"|exit 100"\nbob\n',
  '"|exit 99"',
  '"|exit 7"',
  '"|kill -9 $$"',
  '"|true"',
  '"|cat /dev/stdin >out"',
  '"|cat /dev/fd/0 | wc -c >out"',
]) {
  test(`dot-forward of ${JSON.stringify(text)}`, { skip }, () => {
    using twins = new Twins();
    twins.write("forward", text);
    const run = (which: "ours" | "debian") => {
      const { code } = twins[which]("dot-forward", ["forward"], { input: MESSAGE });
      const result = { code, queued: twins.queued(), out: twins.read("out") };
      twins.write("out", "");
      return result;
    };
    twins.write("out", "");
    assert.deepEqual(run("ours"), run("debian"));
  });
}

const TABLE = `# comment
root@yp.to: god@heaven.af.mil, staff@af.mil;
Sos@heaven.af.mil: ?owner-sos@heaven.af.mil, ./list.bin, &x;
dew@: |dew-monitor, !pre\\ prog\\,\\;;
@Host.Dom: \\&boss@x.y, joe@z;
two: a@b; two: ?own@x, c@d;
many@yp.to: root@yp.to, Root@yp.to, many@yp.to, sos@heaven.af.mil, ./list.bin, ./list.bin, A@b, a@b;
`;

test("tables and lists: one program's output is the other's input", { skip }, () => {
  using twins = new Twins();
  assert.equal(twins.ours("setforward", ["our.cdb", "tmp"], { input: TABLE }).code, 0);
  assert.equal(twins.debian("setforward", ["their.cdb", "tmp"], { input: TABLE }).code, 0);
  assert.ok(twins.read("our.cdb") === twins.read("their.cdb"), "the databases differ");
  const cdb = twins.read("our.cdb") ?? "";
  const printed = twins.ours("printforward", [], { input: cdb });
  assert.deepEqual(printed, twins.debian("printforward", [], { input: cdb }));
  assert.equal(twins.ours("setforward", ["again.cdb", "tmp"], { input: printed.stdout }).code, 0);
  assert.ok(twins.read("again.cdb") === cdb, "the database printed and made again differs");

  const list = "# c\n mary@x.y \t\n&joe@x.y\n\n./inc.bin\n/abs.bin\n1@2";
  assert.equal(twins.ours("setmaillist", ["our.bin", "tmp"], { input: list }).code, 0);
  assert.equal(twins.debian("setmaillist", ["their.bin", "tmp"], { input: list }).code, 0);
  assert.equal(twins.read("our.bin"), twins.read("their.bin"));
  const bin = twins.read("our.bin") ?? "";
  assert.deepEqual(
    twins.ours("printmaillist", [], { input: bin }),
    twins.debian("printmaillist", [], { input: bin }),
  );
});

for (const input of [
  "x: y",
  "a: b:c;",
  "a,b: c;",
  "x;",
  `a: ${"x".repeat(801)};`,
  "a: \0b;",
  "x: a ; y",
  "a\\: b: c@d;",
  ": a;",
  "a: ;",
  "",
]) {
  test(`setforward of ${JSON.stringify(input.slice(0, 20))}`, { skip }, () => {
    using twins = new Twins();
    const ours = twins.ours("setforward", ["cdb", "tmp"], { input });
    const cdb = twins.read("cdb");
    twins.write("cdb", "");
    const theirs = twins.debian("setforward", ["cdb", "tmp"], { input });
    assert.deepEqual(ours, theirs);
    if (theirs.code === 0) assert.ok(cdb === twins.read("cdb"), "the databases differ");
  });
}

for (const [recipient, ...args] of [
  ["Root@yp.to"],
  ["any@HOST.dom"],
  ["Dew@any"],
  ["sos@heaven.af.mil"],
  ["many@yp.to"],
  ["two"],
  ["none@q"],
  ["none@q", "-p"],
  ["root@yp.to", "-p"],
  ["a@b@host.dom"],
] as const) {
  test(`fastforward for ${recipient} ${args.join(" ")}`, { skip }, () => {
    using twins = new Twins();
    const input = TABLE.replace("|dew-monitor", "|cat\\ >out");
    twins.debian("setforward", ["t.cdb", "tmp"], { input });
    twins.debian("setmaillist", ["list.bin", "tmp"], { input: "l@x\n./list.bin\nroot@yp.to\n" });
    const told = (which: "ours" | "debian") => {
      const env = { RECIPIENT: recipient };
      const ran = twins[which]("fastforward", ["-n", ...args, "t.cdb"], { env });
      // The order of recipients is nobody's promise.
      return { code: ran.code, text: said(ran).split("\n").sort() };
    };
    assert.deepEqual(told("ours"), told("debian"));
    // Where there is an owner it depends on the sender whether he is named.
    for (const SENDER of recipient.startsWith("sos") ? ["me@x.y", "", "#@[]"] : ["me@x.y"]) {
      const done = (which: "ours" | "debian") => {
        const options = { env: { RECIPIENT: recipient, SENDER }, input: MESSAGE };
        const { code, stderr } = twins[which]("fastforward", [...args, "t.cdb"], options);
        const words = stderr.replace(/qp \d+/, "qp");
        return { code, words, queued: twins.queued()?.split("\0").sort() };
      };
      const theirs = done("debian");
      // Debian's runs a program named preline, which there is none of: ours needs none.
      if (theirs.code !== 111) assert.deepEqual(done("ours"), theirs);
    }
  });
}

/** Texts of /etc/aliases. */
const ALIASES = [
  "root: alice, bill\npostmaster@heaven: bob (x) @h.b\n",
  'hostmaster:\n   fred,\n\n\tjoe\n# c\n  more c\n@v.d: a\n(all)@v2.dom: "sp x"@y\n',
  'w: "|wp a b", |x\nl: :include:/etc/l, :include: "rel x", : include : /q\nowner-l: me\nowner-l2@h.d: b\n',
  "nocolon x y\n",
  "Joe: Joe <a@b>, <c@d> x\n",
  "a: b\na: c\n",
  '\\joe: \\joe, "a,b"@c\n"a b": c\n',
  "a@B+: c@d+\n",
  "  lead: x\n y\n",
  "owner-owner-x: z\nowner-x: q\nx: r\n",
  "a: /file\n",
  "a:\n",
  ": b\n",
  "@: x\n",
  "a: <>\n",
  'a: "\n',
  "a: b>\n",
];

for (const text of ALIASES) {
  test(`newaliases of ${JSON.stringify(text)}`, { skip }, async () => {
    using twins = new Twins();
    const { newaliases } = await import("../../../qmail/forward/newaliases.ts");
    twins.write("aliases", text);
    copyFileSync(twins.work("aliases"), join(twins.path, "etc/aliases"));
    const home = join(twins.path, "home");
    const ours = await newaliases({ env: {}, home }, twins.work("aliases"));
    const theirs = twins.debian("qmail-newaliases", []);
    assert.equal(ours.code, theirs.code);
    if (theirs.code !== 0) return;
    copyFileSync(join(twins.path, "etc/aliases.cdb"), twins.work("their.cdb"));
    assert.ok(twins.read("aliases.cdb") === twins.read("their.cdb"), "the databases differ");
  });
}

test("newinclude", { skip }, () => {
  using twins = new Twins();
  twins.write("ours", 'mary@x.y, joe, "a b"@c.d\n# c\n Joe <j@h>, fred\n\n');
  writeFileSync(twins.work("theirs"), twins.read("ours") ?? "");
  assert.equal(twins.ours("newinclude", ["ours"]).code, 0);
  assert.equal(twins.debian("newinclude", ["theirs"]).code, 0);
  assert.equal(twins.read("ours.bin"), twins.read("theirs.bin"));
  for (const text of ['"|prog"\n', "/file\n", "a>\n"]) {
    twins.write("ours", text);
    twins.write("theirs", text);
    const ours = twins.ours("newinclude", ["ours"]);
    assert.equal(ours.code, twins.debian("newinclude", ["theirs"]).code);
  }
});

test("a table for tinycdb, and tinycdb's for us", { skip }, () => {
  using twins = new Twins();
  twins.ours("setforward", ["t.cdb", "tmp"], { input: TABLE });
  const dumped = twins.debian("cdb", ["-d", "t.cdb"]);
  assert.match(dumped.stdout, /^\+11,33::root@yp\.to->&god@heaven\.af\.mil\0&staff@af\.mil\0\n/);
  twins.write("dump", dumped.stdout);
  twins.debian("cdb", ["-c", "back.cdb", "dump"]);
  const env = { RECIPIENT: "root@yp.to" };
  assert.match(
    twins.ours("fastforward", ["-n", "back.cdb"], { env }).stdout,
    /^from <me@x\.y>\nto <god@heaven\.af\.mil>\nto <staff@af\.mil>\n$/,
  );
});
