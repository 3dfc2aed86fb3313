import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { whyNot } from "../../../qmail/vacation/decide.ts";
import { reply } from "../../../qmail/vacation/reply.ts";
import { settingsIn, vacation } from "../../../qmail/vacation/vacation.ts";
import { CONTROL, FakeQueue, makeHome, NOW, world } from "../inject/world.ts";

const qmail = makeHome();

function away(template = "I am away.\n"): { home: string } & Disposable {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-vacation-"));
  writeFileSync(join(home, ".vacation.msg"), template);
  return { home, [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }) };
}

const MESSAGE =
  "From: Ann <ann@x.y>\nTo: Joe <joe@h.test>\nSubject: hello\nMessage-ID: <1@x.y>\n\nbody\n";

async function run(
  home: string,
  {
    args = [],
    message = MESSAGE,
    sender = "ann@x.y",
    now = NOW,
    fake = new FakeQueue(),
    recipient = "joe@h.test",
    installation = qmail,
  }: {
    args?: string[];
    message?: string;
    sender?: string;
    now?: number;
    fake?: FakeQueue;
    recipient?: string;
    installation?: string;
  } = {},
) {
  const env = { HOME: home, USER: "joe", RECIPIENT: recipient, SENDER: sender };
  const context = { ...world(installation, message, { env, fake }), now };
  const outcome = await vacation(args, context);
  return { ...outcome, fake };
}

test("an answer: from the user, to the sender, with the empty envelope sender", async () => {
  using user = away();
  const { code, message, fake } = await run(user.home);
  assert.deepEqual([code, message], [0, "answered"]);
  assert.equal(fake.sender, "");
  assert.deepEqual(fake.recipients, ["ann@x.y"]);
  const text = fake.message ?? "";
  for (const line of [
    "From: joe@h.test",
    "To: ann@x.y",
    "Subject: Auto: hello",
    "Auto-Submitted: auto-replied",
    "In-Reply-To: <1@x.y>",
    "References: <1@x.y>",
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is missing in ${text}`);
  }
  assert.match(text, /^Date: /m);
  assert.match(text, /^Message-ID: /m);
  assert.match(text, /\n\nI am away\.\n$/);
});

test("one answer in an interval, and another after it", async () => {
  using user = away();
  assert.equal((await run(user.home)).message, "answered");
  const again = await run(user.home, { now: NOW + 60, sender: "ANN@x.y" });
  assert.equal(again.fake.message, null);
  assert.equal((await run(user.home, { sender: "bob@x.y" })).message, "answered");
  assert.equal((await run(user.home, { now: NOW + 6 * 86_400 })).fake.message, null);
  assert.equal((await run(user.home, { now: NOW + 8 * 86_400 })).message, "answered");
  assert.equal((await run(user.home, { args: ["-i"] })).code, 0);
  assert.deepEqual(readdirSync(join(user.home, ".vacation.answered")), []);
});

test("an answer that the queue refuses is not counted as one, and nothing fails", async () => {
  using user = away();
  const fake = new FakeQueue({ ok: false, code: 53, permanent: false, text: "qq write error" });
  const refused = await run(user.home, { fake });
  assert.equal(refused.code, 0);
  assert.match(refused.message, /^not answered: qq write error/);
  assert.equal((await run(user.home)).message, "answered");
});

/** Sender → whether he is answered. */
const SENDERS = {
  "ann@x.y": true,
  "requester@x.y": true,
  "": false,
  "#@[]": false,
  "MAILER-DAEMON@x.y": false,
  "postmaster@x.y": false,
  "owner-list@x.y": false,
  "list-request@x.y": false,
  "list-owner@x.y": false,
  "list-return-17-joe=h.test@x.y": false,
  "list-owner-joe=h.test@x.y": false,
  "no-reply@x.y": false,
  "noreply+token@x.y": false,
  "bounces+17@x.y": false,
  "joe@h.test": false,
  nobody: false,
};

for (const [sender, answered] of Object.entries(SENDERS)) {
  test(`a message from <${sender}> is ${answered ? "" : "not "}answered`, () => {
    const fields = ["To: joe@h.test\n"];
    const why = whyNot({ sender, fields, mine: ["joe@h.test", "joe"], toAnybody: false });
    assert.equal(why === null, answered, why ?? "");
  });
}

/** Further header fields → whether the message is answered. */
const FIELDS: readonly (readonly [string, boolean])[] = [
  ["Auto-Submitted: no\n", true],
  ["Auto-Submitted: auto-generated\n", false],
  ["auto-submitted: Auto-Replied; x=y\n", false],
  ["Precedence: bulk\n", false],
  ["Precedence: JUNK\n", false],
  ["Precedence: list\n", false],
  ["Precedence: first-class\n", true],
  ["List-Id: <l.x.y>\n", false],
  ["List-Unsubscribe: <mailto:x@y>\n", false],
  ["Mailing-List: contact x\n", false],
  ["X-Auto-Response-Suppress: DR, OOF\n", false],
  ["X-Auto-Response-Suppress: DR\n", true],
  ["X-Spam-Flag: YES\n", false],
  ["Content-Type: multipart/report; report-type=delivery-status\n", false],
  ["Content-Type: text/plain\n", true],
];

for (const [field, answered] of FIELDS) {
  test(`a message with ${field.trim()} is ${answered ? "" : "not "}answered`, () => {
    const fields = ["To: joe@h.test\n", field];
    const why = whyNot({ sender: "ann@x.y", fields, mine: ["joe@h.test"], toAnybody: false });
    assert.equal(why === null, answered, why ?? "");
  });
}

test("only what is addressed to the user", () => {
  const asked = (field: string, mine: readonly string[], toAnybody = false) =>
    whyNot({ sender: "ann@x.y", fields: [field], mine, toAnybody }) === null;
  assert.ok(asked("Cc: a@b, Joe <JOE@h.test>\n", ["joe@h.test"]));
  assert.ok(asked("Resent-To: joe@h.test\n", ["joe@h.test"]));
  assert.ok(asked("To: group: joe@other;\n", ["joe"]));
  assert.ok(!asked("To: joe@other\n", ["joe@h.test"]));
  assert.ok(!asked("To: (joe@h.test) ann@x\n", ["joe@h.test"]));
  assert.ok(!asked("To: undisclosed-recipients:;\n", ["joe"]));
  assert.ok(asked("To: undisclosed-recipients:;\n", ["joe"], true));
  assert.ok(!asked("X-To: joe@h.test\n", ["joe@h.test"]));
});

test("a template with a header of its own, and what it cannot change", () => {
  const to = { sender: "ann@x.y", from: "joe@h.test", fields: ["Subject: a\n  $SENDER b\n"] };
  const text = reply(
    "Subject: away: $SUBJECT\nFrom: Joe\n <joe@h>\nTo: all@h\nAuto-Submitted: no\n\nDear $SENDER\n",
    to,
  );
  assert.equal(
    text,
    "To: ann@x.y\nSubject: away: a $SENDER b\nFrom: Joe\n <joe@h>\nAuto-Submitted: auto-replied\n\nDear ann@x.y\n",
  );
  assert.match(
    reply("Note: I am away\nuntil Monday\n", to),
    /\n\nNote: I am away\nuntil Monday\n$/,
  );
});

test("no field of the message breaks out of its line", () => {
  const part = fc.string({
    unit: fc.constantFrom("a", "\n", "\r", "\t", ":", "<", ">", "@", "$SENDER"),
  });
  fc.assert(
    fc.property(part, part, part, (subject, id, references) => {
      const fields = [
        `Subject: ${subject}\n`,
        `Message-ID: ${id}\n`,
        `References: ${references}\n`,
      ];
      const text = reply("x\n", { sender: "s@x", from: "f@x", fields });
      const names = text.slice(0, text.indexOf("\n\n")).split("\n");
      for (const line of names) {
        assert.match(line, /^(From|To|Subject|Auto-Submitted|In-Reply-To|References):|^ /);
      }
    }),
  );
});

test("settings", () => {
  const settings = settingsIn(["-j", "-a", "a@b", "-a", "c", "-r", "3", "-s", "x@y", "joe"]);
  assert.ok(typeof settings === "object");
  assert.deepEqual(settings.aliases, ["a@b", "c"]);
  assert.equal(settings.interval, 3 * 86_400_000);
  assert.equal(settings.sender, "x@y");
  for (const [args, interval] of [
    [["-t", "2h"], 7_200_000],
    [["-r", "infinite"], Number.POSITIVE_INFINITY],
    [["-r", "0"], 0],
  ] as const) {
    const one = settingsIn([...args]);
    assert.ok(typeof one === "object" && one.interval === interval);
  }
  for (const args of [["-q"], ["-r", "x"], ["-t", "5"], ["a", "b"]]) {
    assert.equal(typeof settingsIn(args), "string");
  }
});

test("without a message file nothing is answered and nobody is noted", async () => {
  using user = away();
  rmSync(join(user.home, ".vacation.msg"));
  await assert.rejects(run(user.home), /ENOENT/);
  assert.deepEqual(readdirSync(join(user.home, ".vacation.answered")), []);
});

after(() => rmSync(qmail, { recursive: true, force: true }));

/** Mail for a virtual domain: what came to qmail-local, and who it was written to. */
const VIRTUAL: readonly (readonly [recipient: string, written: string])[] = [
  ["joe-ann@dom.test", "ann@dom.test"],
  ["joe-ann@DOM.test", "ann@DOM.test"],
  ["joe-a-n-n@dom.test", "a-n-n@dom.test"],
  ["joe-x-ann@sub.above.test", "ann@sub.above.test"],
  ["jim-sales@one.test", "sales@one.test"],
  ["joe-ann@local.test", "joe-ann@local.test"],
  ["bob-ann@dom.test", "bob-ann@dom.test"],
  ["joe-ann@except.above.test", "joe-ann@except.above.test"],
];

for (const [recipient, written] of VIRTUAL) {
  test(`an answer for ${recipient} is from ${written}, and so addressed`, async () => {
    using user = away();
    const virtualdomains =
      "dom.test:joe\n.above.test:joe-x\nexcept.above.test:\nsales@one.test:jim";
    const installation = makeHome({ ...CONTROL, virtualdomains });
    const message = MESSAGE.replace("joe@h.test", written);
    const result = await run(user.home, { recipient, installation, message });
    assert.equal(result.message, "answered");
    assert.match(result.fake.message ?? "", new RegExp(`^From: ${written}$`, "m"));
    const other = MESSAGE.replace("joe@h.test", "other@dom.test");
    const not = await run(user.home, { recipient, installation, message: other, sender: "b@x.y" });
    assert.equal(not.message, "not answered: it is not addressed to the user");
  });
}

test("a message file with network line endings and a BOM", async () => {
  using user = away("\ufeffSubject: Away\r\nX-Note: folded\r\n line\r\n\r\nI am\r\naway.\r\n");
  const text = (await run(user.home)).fake.message ?? "";
  assert.match(text, /^Subject: Away\nX-Note: folded\n line\n/m);
  assert.match(text, /\n\nI am\naway\.\n$/);
  assert.doesNotMatch(text, /\r|\xef\xbb/);
});
