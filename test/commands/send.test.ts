import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { CommandError, type Output, UsageError } from "../../commands/output.ts";
import { type SendOptions, send } from "../../commands/send.ts";
import { queueFailure } from "../../qmail/queue/qmail.ts";
import { FakeQueue, makeHome } from "../qmail/inject/world.ts";

const home = makeHome();

async function run(options: Partial<SendOptions>, queue = new FakeQueue()) {
  const lines: string[] = [];
  const data: unknown[] = [];
  const output: Output = {
    json: false,
    line: (text = "") => lines.push(text),
    table: () => assert.fail(),
    data: (value) => data.push(value),
    screen: { width: null, colour: false },
    dataLines: async () => assert.fail(),
    drained: async () => {},
    dataList: () => assert.fail(),
    note: () => assert.fail(),
  };
  const env = { USER: "usr", NAME: "A User" };
  await send({ home, to: [], output, queue, env, ...options });
  const message = Buffer.from(queue.message ?? "", "latin1").toString();
  const field = (name: string) => new RegExp(`^${name}: (.*(\n .*)*)$`, "m").exec(message)?.[1];
  return { lines, data, queue, message, field };
}

const BUILT_END =
  "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n";

test("a message from flags", async () => {
  const { lines, data, queue, message, field } = await run({
    from: "me@h.d",
    to: ["joe", "Fred <fred@x.y>"],
    subject: "Hello",
    body: "Hi there",
  });
  assert.deepEqual(lines, ["queued as qp 77"]);
  const recipients = ["joe@host.dom.example", "fred@x.y"];
  assert.deepEqual(data, [{ qp: 77, sender: "me@h.d", recipients }]);
  assert.equal(queue.sender, "me@h.d");
  assert.deepEqual(queue.recipients, recipients);
  assert.equal(field("From"), "me@h.d");
  assert.equal(field("To"), "joe@host.dom.example, Fred <fred@x.y>");
  assert.equal(field("Subject"), "Hello");
  assert.ok(message.endsWith(`${BUILT_END}Hi there\n`));
});

test("without --from the user sends, with his name", async () => {
  const { queue, field } = await run({ to: ["joe@x.y"], subject: "s", body: "b" });
  assert.equal(field("From"), '"A User" <usr@host.dom.example>');
  assert.equal(queue.sender, "usr@host.dom.example");
});

test("a sender with a name, and none", async () => {
  const named = await run({ from: "Me <me@h.d>", to: ["joe@x.y"], body: "b" });
  assert.equal(named.field("From"), "Me <me@h.d>");
  assert.equal(named.queue.sender, "me@h.d");
  const none = await run({ from: "<>", to: ["joe@x.y"], body: "b" });
  assert.equal(none.queue.sender, "");
  assert.equal(none.field("From"), "usr@host.dom.example");
});

test("texts that are not ASCII", async () => {
  const subject = "Gr\u00fc\u00dfe \u{1f600}".repeat(12);
  const { field, message, queue } = await run({ to: ["j\u00f6@x.y"], subject, body: "\u00fc" });
  const words = field("Subject")?.split(/\s+/) ?? [];
  assert.ok(words.length > 1 && words.every((word) => word.length <= 75));
  const decoded = words.map((word) => Buffer.from(word.slice(10, -2), "base64").toString());
  assert.equal(decoded.join(""), subject);
  assert.ok(message.endsWith("\n\n\u00fc\n"));
  assert.deepEqual(queue.recipients, [Buffer.from("j\u00f6@x.y").toString("latin1")]);
});

test("flags cannot add fields", async () => {
  const { field, message } = await run({ to: ["a@b.c"], subject: "s\nBcc: x@y.z", body: "b" });
  assert.equal(field("Subject"), "s Bcc: x@y.z");
  assert.doesNotMatch(message, /^Bcc/m);
});

test("with a subject standard input is the body", async () => {
  const input = Readable.from([Buffer.from("To: is no field here\n")]);
  const { message } = await run({ to: ["a@b.c"], subject: "s", input });
  assert.ok(message.endsWith(`${BUILT_END}To: is no field here\n`));
});

test("without one it is the message", async () => {
  const input = () => Readable.from(["To: joe\nBcc: fred@x.y\n", "\nbody\n"]);
  const all = await run({ input: input() });
  assert.deepEqual(all.queue.recipients, ["joe@host.dom.example", "fred@x.y"]);
  assert.match(all.message, /\nTo: joe@host\.dom\.example\n\nbody\n$/);
  const given = await run({ input: input(), to: ["only@x.y"], from: "s@t.u" });
  assert.deepEqual(given.queue.recipients, ["only@x.y"]);
  assert.equal(given.queue.sender, "s@t.u");
});

test("nothing to send, nobody to send to, nonsense", async () => {
  await assert.rejects(run({ to: ["a@b.c"] }), (error: UsageError) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.message, "nothing to send");
    return true;
  });
  await assert.rejects(run({ subject: "s", body: "b" }), (error: CommandError) => {
    assert.ok(error instanceof CommandError);
    assert.equal(error.message, "unable to send the message: no recipients");
    assert.equal(error.hints.length, 1);
    return true;
  });
  for (const to of ["a@b.c, <d", "a@[1"]) {
    await assert.rejects(run({ to: [to], body: "b" }), (error: CommandError) => {
      assert.ok(error.message.includes(to));
      assert.equal(error.code, 100);
      return true;
    });
  }
  await assert.rejects(run({ from: "a@b.c, d@e.f", to: ["a@b.c"], body: "b" }), UsageError);
});

test("trouble in the queue keeps its code", async () => {
  const queue = new FakeQueue(queueFailure(53));
  await assert.rejects(run({ to: ["a@b.c"], body: "b" }, queue), (error: CommandError) => {
    assert.equal(error.code, 111);
    assert.match(error.message, /qq write error or disk full/);
    return true;
  });
});
