import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inject } from "../../../qmail/inject/qmail-inject.ts";
import { queueFailure } from "../../../qmail/queue/qmail.ts";
import { FakeQueue, makeHome, NOW, world } from "./world.ts";

const home = makeHome();
const STAMPS =
  "Date: 9 Sep 2001 01:46:40 -0000\nMessage-ID: <20010909014640.42.qmail@id.example>\n";
const FROM = "From: usr@host.dom.example\n";
const HIDDEN = "Cc: recipient list not shown: ;\n";

async function run(
  text: string,
  args: readonly string[] = [],
  env: Record<string, string> = { USER: "usr" },
) {
  const context = world(home, text, { env });
  const outcome = await inject(args, context);
  const { message, sender, recipients } = context.fake;
  return { ...outcome, error: outcome.message, message, sender, recipients, ...context.printed };
}

test("a message with a minimal header gets the rest", async () => {
  const { message, sender, recipients, code, queued } = await run("To: a@b.c\n\nHello\n");
  assert.equal(message, `${STAMPS}${FROM}To: a@b.c\n\nHello\n`);
  assert.equal(sender, "usr@host.dom.example");
  assert.deepEqual(recipients, ["a@b.c"]);
  assert.equal(code, 0);
  assert.equal(queued?.qp, 77);
});

test("a complete header stays as it is", async () => {
  const text = "Date: x\nMESSAGE-ID : y\nFrom: a@b.c\nCc: d@e.f\nSubject:  z\n  z\n\nHello\n";
  assert.equal((await run(text)).message, text);
});

const SHAPES: readonly (readonly [why: string, text: string, message: string])[] = [
  ["nothing at all", "", `${STAMPS}${FROM}${HIDDEN}`],
  ["no header", "\nbody\n", `${STAMPS}${FROM}${HIDDEN}\nbody\n`],
  ["no header, no blank line", "body\n", `${STAMPS}${FROM}${HIDDEN}\nbody\n`],
  ["no body", "To: a@b.c\n", `${STAMPS}${FROM}To: a@b.c\n`],
  ["no last newline", "To: a@b.c\n\nx", `${STAMPS}${FROM}To: a@b.c\n\nx\n`],
  ["mbox line", "From x\nTo: a@b.c\n\n", `${STAMPS}${FROM}MBOX-Line: From x\nTo: a@b.c\n\n`],
  ["CR stays", "Subject: x\r\n\r\ny\r\n", `${STAMPS}${FROM}${HIDDEN}Subject: x\r\n\n\r\ny\r\n`],
  ["8-bit and NUL stay", "X: \xff\0\n\n\0\xfe", `${STAMPS}${FROM}${HIDDEN}X: \xff\0\n\n\0\xfe\n`],
  ["Content-Length goes", "Content-Length: 5\n\nx\n", `${STAMPS}${FROM}${HIDDEN}\nx\n`],
  ["Return-Path goes", "Return-Path: <a@b>\n\n", `${STAMPS}${FROM}${HIDDEN}\n`],
  ["Bcc goes", "Bcc: a@b.c,\n d@e.f\n\n", `${STAMPS}${FROM}${HIDDEN}\n`],
  [
    "Apparently-To stays",
    "Apparently-To: a\n\n",
    `${STAMPS}${FROM}${HIDDEN}Apparently-To: a@host.dom.example\n\n`,
  ],
];

for (const [why, text, message] of SHAPES) {
  test(`the whole message: ${why}`, async () => {
    assert.equal((await run(text, ["x@y.z"])).message, message);
  });
}

test("MIME messages pass untouched below the header", async () => {
  const body = "\n--b\nContent-Type: text/plain\n\nTo: joe\n.\nFrom x\n--b--\n\0\x80\r\n \n";
  const header = 'MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary="b"\n';
  const { message } = await run(`${header}${body}`, ["x@y.z"]);
  assert.equal(message, `${STAMPS}${FROM}${HIDDEN}${header}${body}`);
});

const HEADER = "To: to@x.x\nCc: cc@x.x\nBcc: bcc@x.x\nApparently-To: at@x.x\nReply-To: no@x.x\n\n";
const OF_HEADER = ["to@x.x", "cc@x.x", "bcc@x.x", "at@x.x"];
const RECIPIENTS: readonly (readonly [args: string[], recipients: string[]])[] = [
  [[], OF_HEADER],
  [
    ["r@x.x", "s"],
    ["r@x.x", "s@host.dom.example"],
  ],
  [["-A"], OF_HEADER],
  [["-A", "r@x.x"], ["r@x.x"]],
  [["-a"], []],
  [["-a", "r@x.x"], ["r@x.x"]],
  [["-h"], OF_HEADER],
  [["-h", "r@x.x"], OF_HEADER],
  [["-H"], OF_HEADER],
  [
    ["-H", "r@x.x"],
    ["r@x.x", ...OF_HEADER],
  ],
  [
    ["-haAH", "r@x.x"],
    ["r@x.x", ...OF_HEADER],
  ],
  [["-nN", "--", "-a"], ["-a@host.dom.example"]],
  [
    ["r s@h+", '"q"@h', "a,b@[1.2.3.4]"],
    ["r s@h.plus.example", '"q"@h.dom.example', "a,b@[1.2.3.4]"],
  ],
];

test("who gets it: -a -h -A -H", async () => {
  for (const [args, recipients] of RECIPIENTS) {
    assert.deepEqual((await run(HEADER, args)).recipients, recipients, args.join(" "));
  }
});

const RESENT_STAMPS = STAMPS.replace(/^(?=.)/gm, "Resent-");

test("a message sent on has its own fields and recipients", async () => {
  const { message, recipients } = await run(`Resent-Bcc: rb\nResent-To: rt\n${HEADER}`);
  const host = "host.dom.example";
  assert.deepEqual(recipients, [`rb@${host}`, `rt@${host}`]);
  const rest = "To: to@x.x\nCc: cc@x.x\nApparently-To: at@x.x\nReply-To: no@x.x\n\n";
  assert.equal(message, `${RESENT_STAMPS}Resent-${FROM}Resent-To: rt@${host}\n${rest}`);
});

test("each of the eight Resent- fields makes a message one sent on", async () => {
  for (const name of ["Sender", "From", "Reply-To", "To", "Cc", "Bcc", "Date", "Message-ID"]) {
    const { message } = await run(`Resent-${name}: a@b.c\n\n`, ["x@y.z"]);
    assert.doesNotMatch(message ?? "", /^(Date|Message-ID|From|Cc):/m, name);
    for (const field of ["Date", "Message-ID", "From"]) {
      assert.equal(message?.match(new RegExp(`^Resent-${field}:`, "gm"))?.length, 1, field);
    }
    const hidden = message?.includes("Resent-Cc: recipient list not shown: ;\n");
    assert.equal(hidden, name !== "To" && name !== "Cc", name);
  }
});

type Env = Record<string, string>;
const FROMS: readonly (readonly [env: Env, from: string, sender: string])[] = [
  [{}, "anonymous@host.dom.example", "anonymous@host.dom.example"],
  [{ LOGNAME: "l" }, "l@host.dom.example", "l@host.dom.example"],
  [{ LOGNAME: "l", USER: "u" }, "u@host.dom.example", "u@host.dom.example"],
  [{ USER: "u", MAILUSER: "m" }, "m@host.dom.example", "m@host.dom.example"],
  [{ MAILUSER: "m", QMAILUSER: "q" }, "q@host.dom.example", "q@host.dom.example"],
  [{ USER: "u", MAILHOST: "mh" }, "u@mh.dom.example", "u@mh.dom.example"],
  [{ USER: "u", MAILHOST: "mh", QMAILHOST: "qh.x" }, "u@qh.x", "u@qh.x"],
  [{ USER: "u", QMAILHOST: "qh+" }, "u@qh.plus.example", "u@qh.plus.example"],
  [{ USER: "u", QMAILHOST: "[1.2.3.4]" }, "u@[1.2.3.4]", "u@[1.2.3.4]"],
  [{ USER: "u", NAME: "A B" }, '"A B" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", NAME: "n", MAILNAME: "m" }, '"m" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", MAILNAME: "m", QMAILNAME: "q" }, '"q" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", NAME: "n", QMAILNAME: "" }, "u@host.dom.example", "u@host.dom.example"],
  [{ USER: "u", NAME: 'J "Q" \\' }, '"J \\"Q\\" \\\\" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", NAME: "J\xf6rg" }, '"J\xf6rg" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", NAME: "A\nBcc: x" }, '"A Bcc: x" <u@host.dom.example>', "u@host.dom.example"],
  [{ USER: "u", NAME: "A B", QMAILINJECT: "c" }, "u@host.dom.example (A B)", "u@host.dom.example"],
  [{ USER: "u v" }, '"u v"@host.dom.example', "u v@host.dom.example"],
  [{ USER: "u.v" }, "u.v@host.dom.example", "u.v@host.dom.example"],
  [{ USER: "u", QMAILSUSER: "s" }, "u@host.dom.example", "s@host.dom.example"],
  [{ USER: "u", QMAILSHOST: "s" }, "u@host.dom.example", "u@s.dom.example"],
  [{ USER: "u", QMAILHOST: "q", QMAILSUSER: "s" }, "u@q.dom.example", "s@q.dom.example"],
  [{ USER: "u", QMAILINJECT: "m" }, "u@host.dom.example", `u-${NOW}.42@host.dom.example`],
  [{ USER: "u", QMAILINJECT: "r" }, "u@host.dom.example", "u-@host.dom.example-@[]"],
  [{ USER: "u", QMAILINJECT: "rm" }, "u@host.dom.example", `u-${NOW}.42-@host.dom.example-@[]`],
  [{ USER: "u", QMAILDEFAULTHOST: "dh" }, "u@dh.dom.example", "u@dh.dom.example"],
  [{ USER: "u", QMAILDEFAULTDOMAIN: "dd" }, "u@host.dd", "u@host.dd"],
  [{ USER: "u", QMAILHOST: "h+", QMAILPLUSDOMAIN: "pd" }, "u@h.pd", "u@h.pd"],
];

test("the sender by the environment", async () => {
  for (const [env, from, sender] of FROMS) {
    const { message, sender: actual } = await run("To: a@b.c\n\n", [], env);
    assert.equal(/^From: (.*)$/m.exec(message ?? "")?.[1], from, JSON.stringify(env));
    assert.equal(actual, sender, JSON.stringify(env));
  }
});

const SENDERS: readonly (readonly [text: string, args: string[], env: Env, sender: string])[] = [
  ["Return-Path: <a@h>\n", [], {}, "a@h.dom.example"],
  ["Return-Path: a\n", [], { QMAILSUSER: "s" }, "a@host.dom.example"],
  ["Return-Path: <>\n", [], {}, ""],
  ["Return-Path: <>\n", [], { QMAILINJECT: "r" }, ""],
  ["Return-Path: <a@b.c>\n", [], { QMAILINJECT: "r" }, "a@b.c-@[]"],
  ["Return-Path: <a@b.c>\n", [], { QMAILINJECT: "s" }, "anonymous@host.dom.example"],
  ["Return-Path: <a@b.c>\nReturn-Path: <d@e.f>\n", [], {}, "a@b.c"],
  ["Return-Path: <a@b.c>\n", ["-fx@y"], {}, "x@y.dom.example"],
  ["", ["-f", "x y@h+"], { QMAILINJECT: "r", QMAILSUSER: "s" }, "x y@h.plus.example"],
  ["", ["-f", "x"], {}, "x@host.dom.example"],
  ["", ["-f", ""], {}, ""],
  ["", ["-f", "#@[]"], {}, "#@[]"],
  ["", ["-f", "l-@h.d-@[]"], {}, "l-@h.d-@[]"],
  ["", ["-fa", "-fb@c.d"], {}, "b@c.d"],
];

test("the envelope sender: -f, Return-Path, environment", async () => {
  for (const [header, args, env, sender] of SENDERS) {
    const result = await run(`${header}To: a@b.c\n\n`, args, env);
    assert.equal(result.sender, sender, `${header} ${args}`);
    assert.doesNotMatch(result.message ?? "", /Return-Path/);
  }
});

test("QMAILINJECT f and i replace what came", async () => {
  const text = "To: a@b.c\nFrom: x@y.z\nMessage-ID: <m>\nDate: d\n\n";
  const { message } = await run(text, [], { USER: "usr", QMAILINJECT: "fi" });
  const id = "Message-ID: <20010909014640.42.qmail@id.example>\n";
  assert.equal(message, `${id}${FROM}To: a@b.c\nDate: d\n\n`);
});

test("QMAILIDHOST names the host of Message-IDs", async () => {
  const { message } = await run("To: a@b.c\n\n", [], { QMAILIDHOST: "i.h" });
  assert.match(message ?? "", /^Message-ID: <20010909014640\.42\.qmail@i\.h>$/m);
});

test("control files default to me, me to what is probably wrong", async () => {
  const rows: readonly (readonly [Env, from: string, id: string])[] = [
    [{ me: "m.e" }, "u@m.e", "m.e"],
    [{ me: "m" }, "u@m.m", "m"],
    [{}, "u@defaulthost.defaultdomain", "idhost"],
    [{ me: "m.e", defaulthost: "d+", plusdomain: "p.q" }, "u@d.p.q", "m.e"],
  ];
  for (const [control, from, id] of rows) {
    const context = world(makeHome(control), "To: a@b.c\n\n", { env: { USER: "u" } });
    await inject([], context);
    assert.ok(context.fake.message?.includes(`\nFrom: ${from}\n`), from);
    assert.ok(context.fake.message?.includes(`.qmail@${id}>\n`), id);
  }
});

test("Mail-Followup-To for messages to known lists", async () => {
  const file = join(home, "lists");
  writeFileSync(file, "# mine\nList@Lists.example \n\n");
  const env = { USER: "usr", QMAILMFTFILE: file };
  const text = 'To: LIST@lists.EXAMPLE, "a b"@c.d\nCc: joe\n';
  const { message } = await run(`${text}\n`, [], env);
  const wanted = 'LIST@lists.EXAMPLE,\n  "a b"@c.d,\n  joe@host.dom.example\n';
  assert.ok(message?.includes(`Mail-Followup-To: ${wanted}`));

  const has = async (header: string, variables: Env) =>
    (await run(`${header}\n`, ["x@y.z"], variables)).message?.match(/^mail-followup-to: .*$/gim);
  assert.deepEqual(await has(`${text}mail-followup-to: x\n`, env), ["mail-followup-to: x"]);
  assert.equal(await has("To: other@lists.example\n", env), null);
  assert.equal(await has("Bcc: list@lists.example\n", env), null);
  assert.equal(await has(`${text}Resent-To: list@lists.example\n`, env), null);
  assert.equal(await has(text, { QMAILMFTFILE: join(home, "missing") }), null);
});

test("-n prints the message with its Return-Path and queues nothing", async () => {
  const { text, message, code } = await run("To: a\n\nbody", ["-n", "-fx y@z.z"]);
  const to = "To: a@host.dom.example\n";
  assert.equal(text, `Return-Path: <"x y"@z.z>\n${STAMPS}${FROM}${to}\nbody\n`);
  assert.equal(message, null);
  assert.equal(code, 0);
});

const REFUSED: readonly (readonly [args: string[], error: RegExp])[] = [
  [["-x"], /^unknown option "-x"; usage: qmail-inject /],
  [["-f"], /^option "-f" needs an argument; usage: /],
  [["joe@[1.2.3"], /^unable to parse address: joe@\[1\.2\.3$/],
  [["good", "bad@a(b"], /^unable to parse address: bad@a\(b$/],
  [["-f", "x@(y"], /^unable to parse address: x@\(y$/],
  [[""], /^unable to parse address: $/],
  [["a\nb@c.d"], /^unable to parse address: a\nb@c\.d$/],
];

test("what cannot be is refused with 100 and by name", async () => {
  for (const [args, error] of REFUSED) {
    const result = await run("To: a@b.c\n\n", args);
    assert.equal(result.code, 100, args.join(" "));
    assert.match(result.error, error);
    assert.equal(result.message, null);
  }
});

test("domains that are none are refused", async () => {
  const { code, error } = await run("To: a\n\n", [], { QMAILDEFAULTDOMAIN: "(x" });
  assert.deepEqual([code, error], [100, "unable to parse this line:\n.(x"]);
});

test("trouble in the queue is 100 or 111 with its text", async () => {
  for (const [code, exit] of [
    [31, 100],
    [53, 111],
  ] as const) {
    const result = queueFailure(code);
    const context = world(home, "To: a@b.c\n\n", { fake: new FakeQueue(result) });
    assert.deepEqual(await inject([], context), { code: exit, message: result.text });
  }
});

async function* failing(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
  throw new Error("EIO: i/o error, read");
}

test("a message that cannot be read to its end is not queued", async () => {
  for (const text of ["To: a@b", "To: a@b.c\n\nbody"]) {
    const context = world(home, failing(text));
    const outcome = await inject([], context);
    assert.deepEqual(outcome, { code: 111, message: "read error: EIO: i/o error, read" });
    assert.equal(context.fake.message, null);
    assert.equal(context.fake.aborted, text.includes("body"));
  }
});

test("control files that cannot be read are temporary trouble", async () => {
  const context = world(join(home, "control", "me"), "To: a@b.c\n\n");
  const outcome = await inject([], context);
  assert.equal(outcome.code, 111);
  assert.match(outcome.message, /^read error: ENOTDIR/);
});

async function* large(chunks: number): AsyncGenerator<Buffer> {
  yield Buffer.from("To: a@b.c\n\n");
  const chunk = Buffer.alloc(65536, "0123456789abcde\n");
  for (let i = 0; i < chunks; i++) yield chunk;
}

test("a large body goes through piece by piece, waiting for the queue", async () => {
  const fake = new FakeQueue();
  fake.narrow = true;
  assert.equal((await inject([], world(home, large(2000), { fake }))).code, 0);
  assert.equal(fake.putWhileFull, 0);
  assert.equal(fake.longestPut, 65536);
});

test("a very long header", async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `user${i}`).join(",\n ");
  const { recipients, message } = await run(`To: ${many}\nX: ${"x".repeat(1_000_000)}\n\nb\n`);
  assert.equal(recipients.length, 20_000);
  assert.equal(recipients[19_999], "user19999@host.dom.example");
  assert.ok(message?.split("\n").every((line) => line.length <= 80 || line.startsWith("X: ")));
});
