/** However the bytes come, the same lines are hops. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HopCounter } from "../../../qmail/qmtpd/hops.ts";

const LINES = [
  "Received: x",
  "RECEIVED",
  "delivered-to: y",
  "X-Received: z",
  "Receive",
  "\r",
  "a",
  "",
];

test("hops are counted in any pieces", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...LINES), { maxLength: 12 }),
      fc.array(fc.nat(80), { maxLength: 6 }),
      fc.boolean(),
      (lines, cuts, ended) => {
        const header = lines.includes("") ? lines.slice(0, lines.indexOf("")) : lines;
        const whole = ended || header.length < lines.length ? header : header.slice(0, -1);
        const bytes = Buffer.from(lines.join("\n") + (ended ? "\n" : ""));
        const counter = new HopCounter();
        const ends = [...cuts.toSorted((a, b) => a - b), bytes.length];
        let from = 0;
        for (const end of ends) {
          counter.push(bytes.subarray(from, end));
          from = Math.min(end, bytes.length);
        }
        assert.equal(
          counter.count,
          whole.filter((line) => /^(received|delivered)/i.test(line)).length,
        );
      },
    ),
  );
});
