import assert from "node:assert/strict";
import { test } from "node:test";
import { type SendmailContext, sendmail } from "../../../qmail/inject/sendmail.ts";
import { queueFailure } from "../../../qmail/queue/qmail.ts";
import { FakeQueue, makeHome, world } from "./world.ts";

const home = makeHome();
const TEXT = "To: to@x.x\nBcc: bcc@x.x\n\nbody\n";

interface Run {
  readonly program: string;
  readonly variables: Readonly<Record<string, string>>;
}

async function run(
  args: readonly string[],
  options: {
    text?: string | readonly string[];
    env?: Record<string, string>;
    name?: string;
    mayFlush?: boolean;
  } = {},
) {
  const inner = world(home, options.text ?? TEXT, { env: options.env ?? { USER: "usr" } });
  const runs: Run[] = [];
  let flushes = 0;
  const context: SendmailContext = {
    ...inner,
    name: options.name ?? "sendmail",
    async run(program, variables) {
      runs.push({ program, variables });
      return { code: 7, message: "" };
    },
    async flush() {
      flushes++;
      return options.mayFlush === true;
    },
  };
  const outcome = await sendmail(args, context);
  const { message, sender, recipients } = inner.fake;
  const from = /^From: (.*)$/m.exec(message ?? "")?.[1];
  return {
    code: outcome.code,
    error: outcome.message,
    message,
    sender,
    recipients,
    from,
    runs,
    flushes,
  };
}

const HOST = "host.dom.example";
const HEADER = ["to@x.x", "bcc@x.x"];

/** What the programs around us say, and who is to get the message from whom. */
const CALLS: readonly (readonly [args: string, sender: string, to: string[], from?: string])[] = [
  ["-t", `usr@${HOST}`, HEADER],
  ["-t -i", `usr@${HOST}`, HEADER],
  ["-ti", `usr@${HOST}`, HEADER],
  ["-t -oi -f me@h.d", "me@h.d", HEADER, "me@h.d"],
  ["-oi -t -fme@h.d", "me@h.d", HEADER, "me@h.d"],
  ["-oem -oi -- a@b.c", `usr@${HOST}`, ["a@b.c"]],
  ["-oi -oem -odb -oee -f me a@b.c", `me@${HOST}`, ["a@b.c"], `me@${HOST}`],
  [
    "-i -FCronDaemon -B8BITMIME -oem root",
    `usr@${HOST}`,
    [`root@${HOST}`],
    `"CronDaemon" <usr@${HOST}>`,
  ],
  [
    "-FCronDaemon -i -odi -oem -oi -t -f root",
    `root@${HOST}`,
    HEADER,
    `"CronDaemon" <root@${HOST}>`,
  ],
  ["-i -f me@h.d a@b.c d@e.f", "me@h.d", ["a@b.c", "d@e.f"], "me@h.d"],
  ["-r me@h.d -v -bm a@b.c", "me@h.d", ["a@b.c"], "me@h.d"],
  ["-rme@h.d -N never -R hdrs -V id1 -X /tmp/log a@b.c", "me@h.d", ["a@b.c"], "me@h.d"],
  ["-N success,failure -B 8BITMIME -O DeliveryMode=b -L tag -h 3 a@b.c", `usr@${HOST}`, ["a@b.c"]],
  ["-em -m -n -x -G -U -C /etc/x -Am -pSMTP -d0.1 a@b.c", `usr@${HOST}`, ["a@b.c"]],
  ["-o i -o em -E -J a@b.c", `usr@${HOST}`, ["a@b.c"]],
  ["-t extra@x.x", `usr@${HOST}`, ["extra@x.x", ...HEADER]],
  ["-f <> a@b.c", "", ["a@b.c"], `usr@${HOST}`],
  ["-f <me@h.d> a@b.c", "me@h.d", ["a@b.c"], "me@h.d"],
  ["a,b@c.d", `usr@${HOST}`, [`a@${HOST}`, "b@c.d"]],
  ["<a@b.c> <@r:d@e.f>", `usr@${HOST}`, ["a@b.c", "d@e.f"]],
  ["-- -t", `usr@${HOST}`, [`-t@${HOST}`]],
];

/** One argument, and whom it means: what it has beside addresses belongs to none. */
const ARGUMENTS: readonly (readonly [argument: string, to: string[]])[] = [
  [" joe@x.y ", ["joe@x.y"]],
  ["joe@x.y\n", ["joe@x.y"]],
  ["\tjoe@x.y\r\n", ["joe@x.y"]],
  ["a@x.y b@x.y", ["a@x.y", "b@x.y"]],
  ["a@x.y\nb@x.y", ["a@x.y", "b@x.y"]],
  ['"odd user"@x.y', ["odd user@x.y"]],
  ['"joe"@x.y', ["joe@x.y"]],
  ["(Joe) joe@x.y", ["joe@x.y"]],
  ["joe@x.y (Joe [Admin], Sr.)", ["joe@x.y"]],
  ["dependabot[bot] <b@x.y>, c@x.y", ["b@x.y", "c@x.y"]],
  ["odd!#$%&'*+-/=?^_`{|}~user@x.y", ["odd!#$%&'*+-/=?^_`{|}~user@x.y"]],
];

for (const [argument, to] of ARGUMENTS) {
  test(`sendmail ${JSON.stringify(argument)}`, async () => {
    const { code, error, recipients } = await run(["-i", argument]);
    assert.deepEqual([code, error, recipients], [0, "", to]);
    if (to.length > 1) return;
    assert.equal((await run(["-f", argument, "x@y.z"])).sender, to[0]);
  });
}

for (const [args, sender, recipients, from] of CALLS) {
  test(`sendmail ${args}`, async () => {
    const result = await run(args.split(" "));
    assert.equal(result.error, "");
    assert.equal(result.code, 0);
    assert.equal(result.sender, sender);
    assert.deepEqual(result.recipients, recipients);
    assert.equal(result.from, from ?? `usr@${HOST}`);
    assert.doesNotMatch(result.message ?? "", /^Bcc/m);
  });
}

test("an empty sender, and one with a name", async () => {
  assert.equal((await run(["-f", "", "a@b.c"])).sender, "");
  assert.equal((await run(["-f", "J. Doe <j@d.e>", "a@b.c"])).sender, "j@d.e");
});

test("a given sender hides the user's own name and host", async () => {
  const env = { USER: "u", NAME: "N", QMAILNAME: "Q", MAILHOST: "mh", QMAILHOST: "qh" };
  assert.equal((await run(["-f", "a@b.c", "x@y.z"], { env })).from, "a@b.c");
  assert.equal((await run(["-f", "a", "x@y.z"], { env })).from, `a@${HOST}`);
  assert.equal((await run(["x@y.z"], { env })).from, '"Q" <u@qh.dom.example>');
});

const REFUSED: readonly (readonly [args: string[], error: RegExp])[] = [
  [["-Z"], /^unknown option "-Z"; usage: sendmail /],
  [["--help"], /^unknown option "--help"; usage: /],
  [["-f"], /^option "-f" needs an argument; usage: /],
  [["-bt"], /^-bt \(address test\) is not supported/],
  [["-bv", "joe"], /^-bv \(address verification\) is not supported/],
  [["-bd"], /^-bd is not supported: .*qmailctl start$/],
  [["-bd", "-q15m"], /^-bd is not supported/],
  [["-bz"], /^unknown mode "-bz"; usage/],
  [["-i"], /^no recipients$/],
  [["(joe@x.y"], /^unable to parse address: \(joe@x\.y$/],
  [['"joe@x.y'], /^unable to parse address: "joe@x\.y$/],
  [[" "], /^unable to parse address: $/],
  [["a@b.c, <d"], /^unable to parse address: a@b\.c, <d$/],
  [["-f", "a@b.c, d@e.f", "x@y.z"], /^unable to parse address: a@b\.c, d@e\.f$/],
  [["-f", "a@[1", "x@y.z"], /^unable to parse address: a@\[1$/],
];

test("what is not supported is said, with 100", async () => {
  for (const [args, error] of REFUSED) {
    const result = await run(args);
    assert.equal(result.code, 100, args.join(" "));
    assert.match(result.error, error);
    assert.equal(result.message, null);
  }
});

test("-t with nobody in the header is refused, not lost", async () => {
  const result = await run(["-t"], { text: "Subject: x\n\nbody\n" });
  assert.deepEqual([result.code, result.error], [100, "no recipients"]);
});

test("-bp and mailq list the queue", async () => {
  const wanted = { program: "qmail-qread", variables: {} };
  assert.deepEqual((await run(["-bp"])).runs, [wanted]);
  const result = await run([], { name: "mailq" });
  assert.deepEqual(result.runs, [wanted]);
  assert.equal(result.code, 7);
});

test("-bi, -I and newaliases make the database of /etc/aliases", async () => {
  for (const result of [
    await run(["-bi"]),
    await run(["-I"]),
    await run(["-v"], { name: "newaliases" }),
  ]) {
    assert.deepEqual(result.runs, [{ program: "newaliases", variables: {} }]);
    assert.equal(result.code, 7);
  }
});

test("-bs is a session with a client that may relay", async () => {
  const { runs, code } = await run(["-bs", "-v"]);
  assert.equal(code, 7);
  assert.equal(runs[0]?.program, "qmail-smtpd");
  assert.equal(runs[0]?.variables.RELAYCLIENT, "");
  assert.equal(runs[0]?.variables.TCPREMOTEIP, "127.0.0.1");
  assert.equal(runs[0]?.variables.TCPREMOTEINFO, "sendmail-bs");
});

test("-bs from inetd keeps what is known of the client", async () => {
  const { runs } = await run(["-bs"], { env: { PROTO: "TCP", TCPREMOTEIP: "192.0.2.1" } });
  assert.deepEqual(runs, [{ program: "qmail-smtpd", variables: {} }]);
});

test("-q has the queue tried now", async () => {
  for (const args of [["-q"], ["-qf", "-v"], ["-qR@slow.example"]]) {
    const { code, error, flushes, message } = await run(args, { mayFlush: true });
    assert.deepEqual([code, error, flushes, message], [0, "", 1, null]);
  }
});

test("-q by somebody who may not, and with an interval, is answered with a hint", async () => {
  for (const args of [["-q"], ["-q30m"]]) {
    const { code, error, flushes } = await run(args);
    assert.deepEqual([code, flushes], [0, args[0] === "-q" ? 1 : 0]);
    assert.match(error, /as root: sendmail -q$/);
  }
});

test("queue trouble comes through", async () => {
  const fake = new FakeQueue(queueFailure(53));
  const context = { ...world(home, TEXT, { fake }), name: "sendmail" };
  const outcome = await sendmail(["-t"], {
    ...context,
    run: () => assert.fail(),
    flush: () => assert.fail(),
  });
  assert.deepEqual(outcome, { code: 111, message: "qq write error or disk full (#4.3.0)" });
});

const CRLF = "To: to@x.x\r\nSubject: s\r\n\r\nline\r\nlone\rcr\r\n";

test("a message with network line endings, as PHP writes it, gets qmail's", async () => {
  for (const text of [[CRLF], [...CRLF], ["To: to@x.x\r", CRLF.slice(11)]]) {
    const { message } = await run(["-t"], { text });
    assert.ok(message?.endsWith("To: to@x.x\nSubject: s\n\nline\nlone\rcr\n"), text.join("|"));
  }
});

test("line endings of both kinds, as PHP makes them, are all the same", async () => {
  const text =
    "To: to@x.x\nSubject: s\nX-Mailer: PHP\r\nMIME-Version: 1.0\r\n\r\nline\r\nend\n\ra\r";
  for (const pieces of [[text], [...text]]) {
    const { message } = await run(["-t"], { text: pieces });
    const end = "To: to@x.x\nSubject: s\nX-Mailer: PHP\nMIME-Version: 1.0\n\nline\nend\n\ra\r\n";
    assert.ok(message?.endsWith(end), message ?? "");
  }
});

test("a lone carriage return at the end of all stays", async () => {
  const { message } = await run(["a@b.c"], { text: "X: y\r\n\r\nend\r" });
  assert.ok(message?.endsWith("X: y\n\nend\r\n"));
});
