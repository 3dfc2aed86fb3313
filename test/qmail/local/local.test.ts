import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { FromQuoter } from "../../../qmail/local/from-quoter.ts";
import { Home } from "./_home.ts";

test("without .qmail the default delivery is made", async () => {
  using home = new Home();
  home.maildir("Maildir");
  assert.deepEqual(await home.deliver(), { status: "K", text: "did 1+0+0\n" });
  assert.deepEqual(home.new("Maildir"), [
    "Return-Path: <a@b>\nDelivered-To: joe@h.test\nSubject: x\n\nbody\n",
  ]);
  assert.deepEqual(readdirSync(join(home.path, "Maildir/tmp")), []);
});

test("an empty .qmail is the default delivery too; with an extension, no file is no mailbox", async () => {
  using home = new Home();
  home.maildir("Maildir");
  home.write(".qmail-ext", "");
  assert.equal((await home.deliver({ dash: "-", ext: "ext" })).status, "K");
  assert.deepEqual(await home.deliver({ dash: "-", ext: "none" }), {
    status: "D",
    text: "Sorry, no mailbox here by that name. (#5.1.1)\n",
  });
});

test("all kinds of instructions together", async () => {
  using home = new Home();
  home.maildir("in");
  home.write(".qmail", "./in/\n./mbox\n|cat >copy; echo said\n&c@d\ne@f\n");
  assert.deepEqual(await home.deliver(), { status: "K", text: "said\ndid 2+2+1\nqp 77\n" });
  assert.equal(home.new("in").length, 1);
  assert.equal(readFileSync(join(home.path, "copy"), "latin1"), "Subject: x\n\nbody\n");
  assert.match(
    readFileSync(join(home.path, "mbox"), "latin1"),
    /^From a@b .*1970\nReturn-Path: .*\nbody\n\n$/s,
  );
  assert.deepEqual(home.forwards, [
    {
      sender: "a@b",
      recipients: ["c@d", "e@f"],
      text: "Delivered-To: joe@h.test\nSubject: x\n\nbody\n",
    },
  ]);
});

/** Exit code of a program → outcome (qmail-command(8)). */
for (const [code, status] of [
  [0, "K"],
  [99, "K"],
  [100, "D"],
  [64, "D"],
  [65, "D"],
  [70, "D"],
  [76, "D"],
  [77, "D"],
  [78, "D"],
  [112, "D"],
  [111, "Z"],
  [75, "Z"],
  [1, "Z"],
] as const) {
  test(`a program that exits with ${code} means ${status}`, async () => {
    using home = new Home();
    home.maildir("after");
    home.write(".qmail", `|echo why; exit ${code}\n./after/\n`);
    const report = await home.deliver();
    assert.equal(report.status, status);
    assert.match(report.text, /^why\n/);
    assert.equal(home.new("after").length, code === 0 ? 1 : 0);
  });
}

test("a program can read the message twice, and that it was killed is temporary", async () => {
  using home = new Home();
  home.write(".qmail", "|cat >/dev/null; cat\n");
  assert.equal((await home.deliver()).text, "did 0+0+1\n");
  home.write(".qmail", "|kill -9 $$\n");
  assert.equal((await home.deliver()).status, "Z");
});

test("DEFAULT and the owner of a list", async () => {
  using home = new Home();
  home.write(".qmail-list-default", '|echo "$DEFAULT $NEWSENDER"\n');
  assert.equal((await home.deliver({ dash: "-", ext: "list-Sub" })).text, "Sub a@b\ndid 0+0+1\n");
  home.write(".qmail-list", "m@x\n");
  home.write(".qmail-list-owner", "o@x\n");
  await home.deliver({ dash: "-", ext: "list" });
  home.write(".qmail-list-owner-default", "o@x\n");
  await home.deliver({ dash: "-", ext: "list" });
  await home.deliver({ dash: "-", ext: "list", sender: "" });
  assert.deepEqual(
    home.forwards.map(({ sender }) => sender),
    ["joe-list-owner@h.test", "joe-list-owner-@h.test-@[]", ""],
  );
});

/** What is wrong with the home or its file → the report. */
const WRONG: readonly (readonly [string, (home: Home) => void, RegExp])[] = [
  [
    "home writable",
    (home) => chmodSync(home.path, 0o757),
    /^Uh-oh: home directory is writable\. \(#4\.7\.0\)\n$/,
  ],
  [
    "home sticky",
    (home) => chmodSync(home.path, 0o1755),
    /^Home directory is sticky: .* \(#4\.2\.1\)\n$/,
  ],
  [
    ".qmail writable",
    (home) => home.write(".qmail", "x@y\n", 0o646),
    /^Uh-oh: \.qmail file is writable\. \(#4\.7\.0\)\n$/,
  ],
  [
    "blank first line",
    (home) => home.write(".qmail", "\nx@y\n"),
    /^Uh-oh: first line of \.qmail file is blank\. \(#4\.2\.1\)\n$/,
  ],
  [
    "x bit and a file",
    (home) => home.write(".qmail", "./m/\n", 0o755),
    /file delivery but has x bit set\. \(#4\.7\.0\)\n$/,
  ],
  [
    "+list and a program",
    (home) => home.write(".qmail", "+list\n|true\n"),
    /prog delivery but has x bit set/,
  ],
  [
    "no maildir",
    (home) => home.write(".qmail", "./none/\n"),
    /^Unable to chdir to maildir\. \(#4\.2\.1\)\n$/,
  ],
  [
    "no directory for the mbox",
    (home) => home.write(".qmail", "./none/mbox\n"),
    /^Unable to open \.\/none\/mbox: file does not exist\. \(#4\.2\.1\)\n$/,
  ],
];

for (const [name, spoil, expected] of WRONG) {
  test(`${name}: temporary, with the classic text`, async () => {
    using home = new Home();
    spoil(home);
    const report = await home.deliver();
    assert.equal(report.status, "Z");
    assert.match(report.text, expected);
    chmodSync(home.path, 0o755);
  });
}

test("a home that is missing", async () => {
  const home = new Home();
  home[Symbol.dispose]();
  const report = await home.deliver();
  assert.equal(report.status, "Z");
  assert.match(report.text, /^Unable to switch to .*: file does not exist\. \(#4\.3\.0\)\n$/);
});

test("a message that was here before is looping; in the body the line means nothing", async () => {
  using home = new Home();
  home.maildir("Maildir");
  const line = "Delivered-To: joe@h.test\n";
  const looping = await home.deliver({ text: `Subject: x\n${line}\nbody\n` });
  assert.deepEqual(looping, {
    status: "D",
    text: "This message is looping: it already has my Delivered-To line. (#5.4.6)\n",
  });
  assert.equal((await home.deliver({ text: `${line}\nbody\n` })).status, "D");
  assert.equal((await home.deliver({ text: `Subject: x\n\n${line}` })).status, "K");
});

test("a forward that the queue refuses", async () => {
  using home = new Home();
  home.write(".qmail", "x@y\n");
  home.queueCode = 53;
  assert.deepEqual(await home.deliver(), {
    status: "Z",
    text: "Unable to forward message: qq write error or disk full (#4.3.0).\n",
  });
  home.queueCode = 31;
  assert.equal((await home.deliver()).status, "D");
});

/** What an mbox ends in → what must stand between that and the next From_ line. */
for (const [end, between] of [
  ["", ""],
  ["From a\n\nbody\n\n", ""],
  ["From a\n\nbody\n", "\n"],
  ["From a\n\ncut of", "\n\n"],
] as const) {
  test(`a reader finds the message behind an mbox that ends in ${JSON.stringify(end.slice(-7))}`, async () => {
    using home = new Home();
    home.write(".qmail", "./mbox\n");
    home.write("mbox", end);
    assert.equal((await home.deliver()).status, "K");
    const text = readFileSync(join(home.path, "mbox"), "latin1");
    assert.equal(text.slice(end.length, text.indexOf("From ", end.length)), between);
  });
}

test("an mbox waits for another program's lock", async () => {
  using home = new Home();
  home.write(".qmail", "./mbox\n");
  home.write("mbox", "");
  const holder = spawn("flock", [join(home.path, "mbox"), "sh", "-c", "echo held; read go"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  let delivered = false;
  const delivery = home.deliver().then((report) => {
    delivered = true;
    return report;
  });
  // A second delivery elsewhere is made meanwhile: the first had its chance.
  home.maildir("other");
  home.write(".qmail-other", "./other/\n");
  await home.deliver({ dash: "-", ext: "other" });
  assert.equal(delivered, false);
  holder.stdin.end("go\n");
  assert.equal((await delivery).status, "K");
});

test("From_ lines are quoted, however the message is cut", () => {
  const line = fc.constantFrom(
    "From x",
    ">From y",
    ">>From",
    "Fro",
    "F",
    "",
    "From",
    "text",
    ">",
    ">>Fram",
  );
  fc.assert(
    fc.property(
      fc.array(line),
      fc.boolean(),
      fc.array(fc.nat({ max: 9 })),
      (lines, ended, cuts) => {
        const text = lines.join("\n") + (ended && lines.length > 0 ? "\n" : "");
        const quoter = new FromQuoter();
        let out = "";
        let rest = text;
        for (const cut of cuts) {
          out += Buffer.concat(quoter.push(Buffer.from(rest.slice(0, cut))));
          rest = rest.slice(cut);
        }
        out +=
          Buffer.concat(quoter.push(Buffer.from(rest))) + Buffer.concat(quoter.end()).toString();
        const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
        assert.equal(out, `${whole.replace(/^(>*From )/gm, ">$1")}\n`);
      },
    ),
  );
});

test("what a program says keeps its order, whichever of its descriptors it says it on", async () => {
  using home = new Home();
  const said = "one\ntwo\nthree\nfour\nfive\n";
  home.write(
    ".qmail",
    "|echo one; echo two >&2; echo three; echo four >/dev/stderr; echo five >/dev/stdout; exit 100",
  );
  assert.deepEqual(await home.deliver(), { status: "D", text: said });
  // The pipe of an earlier one is used again, and has nothing of it.
  assert.deepEqual(await home.deliver(), { status: "D", text: said });
});

test("a program opens its message by every name it has", async () => {
  using home = new Home();
  home.write(".qmail", "|cat /dev/stdin /dev/fd/0 /proc/self/fd/0; head -c 2 >/dev/null; cat");
  const { status, text } = await home.deliver({ text: "a\nb\n" });
  assert.deepEqual([status, text], ["K", "a\nb\na\nb\na\nb\nb\ndid 0+0+1\n"]);
});

test("what a program leaves running may still speak, and is waited for", async () => {
  using home = new Home();
  home.write(".qmail", "|(sleep 0.3; echo late) & echo early");
  assert.equal((await home.deliver()).text, "early\nlate\ndid 0+0+1\n");
});
