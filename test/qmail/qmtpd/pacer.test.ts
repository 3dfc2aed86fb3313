/** The time of QMTP and QMQP clients, by a clock of our own. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ByteReader } from "../../../qmail/net/byte-reader.ts";
import { Pacer } from "../../../qmail/qmtpd/pacer.ts";
import { hurried, type Limits } from "../../../qmail/smtpd/limits.ts";

const LIMITS: Limits = {
  ...{ commandMs: 300_000, sessionMs: 3_600_000, minRate: 500, maxErrors: 20, slowErrors: 10 },
  ...{ maxJunk: 100, maxRcpt: 1000, minFree: 0, minInodes: 0 },
};

interface World {
  readonly pacer: Pacer;
  /** Lets time pass, and what waits for it. */
  pass(ms: number): Promise<void>;
  over(): number;
}

function world(t: TestContext, limits: () => Limits = () => LIMITS): World {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let [now, over] = [0, 0];
  const pacer = new Pacer({ limits, over: () => over++, now: () => now });
  return {
    pacer,
    over: () => over,
    async pass(ms) {
      now += ms;
      t.mock.timers.tick(ms);
      for (let n = 0; n < 10; n++) await Promise.resolve();
    },
  };
}

/** Seconds until who sends `bytes` every `seconds` is given up, of a day. */
async function lives(
  { pacer, pass, over }: World,
  { bytes, seconds, receiving }: { bytes: number; seconds: number; receiving: boolean },
): Promise<number> {
  let give: (chunk: Buffer) => void = () => {};
  async function* input(): AsyncGenerator<Buffer> {
    for (;;) yield await new Promise<Buffer>((resolve) => (give = resolve));
  }
  const reader = new ByteReader(pacer.read(input(), () => receiving && began));
  let began = false;
  let at = 0;
  void (async () => {
    for (;;) {
      await reader.some(1_000_000);
      began = true;
    }
  })();
  await pass(0);
  for (; over() === 0 && at < 86_400; at += seconds) {
    await pass(seconds * 1000);
    give(Buffer.alloc(bytes));
    for (let n = 0; n < 20; n++) await Promise.resolve();
  }
  return at;
}

test("a byte every two seconds of a message earns next to nothing", async (t) => {
  const seconds = await lives(world(t), { bytes: 1, seconds: 2, receiving: true });
  assert.ok(seconds >= 300 && seconds <= 310, String(seconds));
});

test("between messages there is time for each, and an end of it all", async (t) => {
  const seconds = await lives(world(t), { bytes: 1, seconds: 100, receiving: false });
  assert.equal(seconds, 3600);
});

test("who comes with the rate that is asked has as long as a session may take", async (t) => {
  const seconds = await lives(world(t), { bytes: 5000, seconds: 10, receiving: true });
  assert.equal(seconds, 3600);
});

test("while places are short there are ten seconds", async (t) => {
  const short = world(t, () => hurried(LIMITS));
  const seconds = await lives(short, { bytes: 1, seconds: 2, receiving: true });
  assert.ok(seconds >= 10 && seconds <= 12, String(seconds));
});

test("no time passes while it is our turn; for taking an answer there is some", async (t) => {
  const { pacer, pass, over } = world(t);
  await pass(1_000_000);
  assert.deepEqual([over(), pacer.due], [0, Number.POSITIVE_INFINITY]);
  const written = Promise.withResolvers<void>();
  void pacer.write(written.promise);
  await pass(299_999);
  assert.equal(over(), 0);
  await pass(1);
  assert.equal(over(), 1);
});
