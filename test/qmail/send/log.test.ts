import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as log from "../../../qmail/send/log.ts";

const safe = fc.string({ unit: fc.constantFrom(..."abcXYZ09@.-_+=/<>") });
const number = fc.nat();
const id = fc.integer({ min: 1 }).map(String);
const address = fc.record(
  { channel: fc.constantFrom(...log.CHANNELS), address: safe },
  { noNullPrototype: true },
);
const use = fc.record({ used: number, limit: number }, { noNullPrototype: true });

/** Lines, and what they must be read back as. */
const LINES: readonly [string, fc.Arbitrary<{ line: string; parsed: log.LogLine }>][] = [
  ["new", id.map((id) => ({ line: log.newMsg(id), parsed: { type: "new", id } }))],
  ["end", id.map((id) => ({ line: log.endMsg(id), parsed: { type: "end", id } }))],
  [
    "info",
    fc
      .tuple(id, fc.record({ bytes: number, sender: safe, qp: number, uid: number }))
      .map(([id, info]) => ({
        line: log.infoMsg(id, info),
        parsed: { type: "info", id, ...info },
      })),
  ],
  [
    "starting",
    fc
      .tuple(
        id,
        fc.record({ delivery: number, channel: fc.constantFrom(...log.CHANNELS), recipient: safe }),
      )
      .map(([id, start]) => {
        return {
          line: log.startingDelivery(id, start),
          parsed: { type: "starting", id, ...start },
        };
      }),
  ],
  [
    "delivery",
    fc
      .tuple(number, fc.constantFrom("success", "deferral", "failure"), safe)
      .map(([delivery, outcome, text]) => {
        return {
          line: log.delivery(delivery, outcome, text),
          parsed: { type: "delivery", delivery, outcome, text },
        };
      }),
  ],
  [
    "status",
    fc.tuple(use, use, fc.boolean()).map(([local, remote, exitasap]) => {
      return {
        line: log.status({ local, remote }, exitasap),
        parsed: { type: "status", local, remote, exitasap },
      };
    }),
  ],
  [
    "bounce",
    fc
      .tuple(id, number)
      .map(([id, qp]) => ({ line: log.bounceMsg(id, qp), parsed: { type: "bounce", id, qp } })),
  ],
  [
    "action",
    fc.tuple(id, fc.constantFrom(...log.ACTIONS), number).map(([id, name, recipients]) => {
      return {
        line: log.action(id, name, recipients),
        parsed: { type: "action", id, name, recipients },
      };
    }),
  ],
  [
    "redirect",
    fc.tuple(id, address, address).map(([id, from, to]) => {
      return { line: log.redirect(id, from, to), parsed: { type: "redirect", id, from, to } };
    }),
  ],
  ["exiting", fc.constant({ line: log.EXITING, parsed: { type: "exiting" } })],
];

for (const [name, lines] of LINES) {
  test(`the line "${name}" is read back as it was`, () => {
    fc.assert(
      fc.property(lines, ({ line, parsed }) => {
        assert.ok(line.endsWith("\n") && line.indexOf("\n") === line.length - 1);
        assert.deepEqual(log.parseLogLine(line.slice(0, -1)), parsed);
      }),
    );
  });
}

test("the lines are those of qmail-log(5)", () => {
  assert.equal(log.newMsg("53"), "new msg 53\n");
  assert.equal(
    log.infoMsg("53", { bytes: 1234, sender: "a b@x", qp: 7, uid: 8 }),
    "info msg 53: bytes 1234 from <a_b@x> qp 7 uid 8\n",
  );
  assert.equal(
    log.startingDelivery("53", { delivery: 3, channel: "remote", recipient: "x@y" }),
    "starting delivery 3: msg 53 to remote x@y\n",
  );
  assert.equal(log.delivery(3, "success", "did 1+0+0\n"), "delivery 3: success: did_1+0+0/\n");
  assert.equal(
    log.status({ local: { used: 1, limit: 10 }, remote: { used: 0, limit: 20 } }, true),
    "status: local 1/10 remote 0/20 exitasap\n",
  );
});

test("logSafe() leaves printable ASCII but %, newlines as slashes, the rest as underscores", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.match(log.logSafe(text), /^[!-$&-~]*$/);
    }),
  );
  assert.equal(log.logSafe("a b\n%\u0000\u00ff~"), "a_b/___~");
});

test("what is not known is kept", () => {
  assert.deepEqual(log.parseLogLine("silly"), { type: "other", text: "silly" });
});
