import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "../../../qmail/inject/context.ts";
import type { Qmail } from "../../../qmail/queue/qmail.ts";
import { remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { srsForward } from "../../../qmail/srs/srs.ts";
import { srsreverse } from "../../../qmail/srs/srsreverse.ts";
import { farServer, near } from "../remote/_server.ts";

const NOW = 1_800_000_000;
const SRS = { srsdomain: "srs.near.test", srssecrets: "one\ntwo" };

test("mail of strangers leaves with an address of ours, our own and bounces as they are", async () => {
  await using far = await farServer();
  using here = near({
    ...SRS,
    smtproutes: `:127.0.0.1:${far.port}`,
    locals: "near.test",
    rcpthosts: "near.test\n.sub.test",
    virtualdomains: "virtual.test:v",
  });
  const ours = ["me@near.test", "me@a.sub.test", "me@VIRTUAL.test", ""];
  for (const sender of [...ours, "joe@example.com"]) {
    const message = bufferMessage(Buffer.from("x\n"));
    await remote(here.config, { host: "far.test", sender, recipients: ["you@far.test"], message });
  }
  const senders = far.commands.filter((line) => line.startsWith("MAIL"));
  assert.deepEqual(
    senders.slice(0, 4),
    ours.map((sender) => `MAIL FROM:<${sender}>`),
  );
  assert.match(senders[4] ?? "", /^MAIL FROM:<SRS0=.{4}=..=example\.com=joe@srs\.near\.test>$/);
});

/** srsreverse with an environment, and what it has queued. */
async function reversed(env: Record<string, string>, control: Record<string, string> = SRS) {
  using here = near(control);
  const queued: { sender: string; recipients: readonly string[]; text: string }[] = [];
  const open = (): Qmail => {
    let text = "";
    return {
      full: false,
      put(bytes) {
        text += bytes.toString();
      },
      drained: () => Promise.resolve(),
      close: async (sender, recipients) => {
        queued.push({ sender, recipients, text });
        return { ok: true, qp: 7 };
      },
      abort() {},
    };
  };
  async function* input() {
    yield Buffer.from("Subject: bounce\n\n");
  }
  const context = { env, input: input(), queue: async () => ({ open }) } as unknown as Context;
  return { outcome: await srsreverse(context, here.home, NOW), queued };
}

test("a bounce goes to whom the address stands for", async () => {
  const keys = { domain: "srs.near.test", secrets: ["two"] };
  const srs = srsForward(keys, "joe@example.com", NOW);
  const DEFAULT = srs.slice(0, srs.lastIndexOf("@"));
  const env = { DEFAULT, NEWSENDER: "", DTLINE: "Delivered-To: srs\n" };
  const { outcome, queued } = await reversed(env);
  assert.equal(outcome.code, 0);
  assert.deepEqual(queued, [
    { sender: "", recipients: ["joe@example.com"], text: "Delivered-To: srs\nSubject: bounce\n\n" },
  ]);
  const changed = await reversed({ ...env, DEFAULT: DEFAULT.replace("joe", "jim") });
  assert.equal(changed.outcome.code, 100);
  assert.match(String(changed.outcome.message), /not made here\. \(#5\.1\.1\)/);
  assert.deepEqual(changed.queued, []);
  assert.equal((await reversed({ ...env, DEFAULT: "somebody" })).outcome.code, 100);
});

test("without its files it says what is missing", async () => {
  const env = { DEFAULT: "x", NEWSENDER: "", DTLINE: "x" };
  assert.equal((await reversed(env, {})).outcome.code, 111);
  await assert.rejects(reversed(env, { srsdomain: "srs.near.test" }), /srssecrets is missing/);
  assert.equal((await reversed({}, SRS)).outcome.code, 100);
});
