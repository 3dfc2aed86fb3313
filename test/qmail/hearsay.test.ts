import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { mock, test } from "node:test";
import fc from "fast-check";
import { Hearsay } from "../../qmail/hearsay.ts";

class Log {
  readonly lines: string[] = [];
  now = 0;
  readonly hearsay = new Hearsay({
    write: (line) => void this.lines.push(line),
    now: () => this.now,
  });

  /** What `who` says in these chunks, to the end. */
  async hears(who: string, ...chunks: readonly (string | Buffer)[]): Promise<void> {
    const stream = new PassThrough();
    this.hearsay.listen(stream, who);
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
    await once(stream, "close");
  }
}

test("each line says whose it is, and is one line of printable characters", async () => {
  const log = new Log();
  await log.hears("joe", "one\ntw", "o\x1b[2J\r\n", "\xe4\0%s\n\nlast");
  assert.deepEqual(log.lines, [
    "joe: one\n",
    "joe: two?[2J?\n",
    "joe: ???%s\n",
    "joe: \n",
    "joe: last\n",
  ]);
});

test("whatever is said, each line bears its name and is printable, and they are bounded", async () => {
  const bytes = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(bytes, async (chunks) => {
      const log = new Log();
      await log.hears("joe", ...chunks.map((chunk) => Buffer.from(chunk)));
      for (const line of log.lines) assert.match(line, /^joe: [ -~]{0,1003}\n$/);
      assert.ok(log.lines.length <= 30);
    }),
  );
});

test("a long line is cut off, whether it ends or not", async () => {
  const log = new Log();
  const long = "x".repeat(100_000);
  await log.hears("joe", `${long}\nshort\n`, long, long);
  const cut = `joe: ${"x".repeat(1000)}...\n`;
  assert.deepEqual(log.lines, [cut, "joe: short\n", cut]);
});

test("who says too much is cut short, and is heard again later; others are not touched", async () => {
  const log = new Log();
  await log.hears("joe", "0123456789\n".repeat(5000));
  assert.equal(log.lines.length, 30);
  // A new process of the same user is no new user.
  await log.hears("joe", "again\n");
  await log.hears("ann", "fine\n");
  assert.deepEqual(log.lines.slice(30), ["ann: fine\n"]);
  log.now += 1000;
  await log.hears("joe", "later\n");
  assert.equal(log.lines.at(-1), "joe: later\n");
});

test("who has gone is not listened to for ever: others may have his pipe", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const log = new Log();
    const stream = new PassThrough();
    const gone = log.hearsay.listen(stream, "joe");
    void gone();
    mock.timers.tick(1000);
    assert.equal(stream.destroyed, true);
  } finally {
    mock.timers.reset();
  }
});
