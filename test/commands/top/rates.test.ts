import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rate, WINDOWS, type Window } from "../../../commands/top/rates.ts";
import { OTHERS, Slices } from "../../../commands/top/slices.ts";

const NOW = Date.UTC(2026, 10, 24, 12, 0, 0, 37);
const windows = Object.keys(WINDOWS) as Window[];

test("a window has what came in it, and nothing else, in whatever order it came", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -400_000, max: 0 }), { maxLength: 500 }),
      fc.integer({ min: 0, max: 5000 }),
      (agos, later) => {
        const rate = new Rate();
        for (const ago of agos) rate.add(NOW + ago);
        const now = NOW + later;
        const end = Math.floor(now / 100) * 100;
        for (const window of windows) {
          const from = end - WINDOWS[window];
          const expected = agos.filter((ago) => NOW + ago >= from && NOW + ago < end).length;
          assert.equal(rate.count(now, window), expected, window);
        }
      },
    ),
  );
});

test("counts stay right while time goes on: fed as it comes, asked again and again", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 90_000 }), { minLength: 1, maxLength: 60 }),
      (gaps) => {
        const rate = new Rate();
        const times: number[] = [];
        let now = NOW;
        for (const gap of gaps) {
          now += gap;
          rate.add(now);
          times.push(now);
          const end = Math.floor((now + 100) / 100) * 100;
          for (const window of windows) {
            const expected = times.filter((ms) => ms >= end - WINDOWS[window] && ms < end).length;
            assert.equal(rate.count(now + 100, window), expected);
          }
        }
        assert.equal(rate.total, gaps.length);
      },
    ),
  );
});

test("a rate is by second, of the time that is known", () => {
  const rate = new Rate();
  const now = Math.floor(NOW / 1000) * 1000;
  for (let n = 1; n <= 60; n++) rate.add(now - n * 500);
  assert.equal(rate.perSecond(now, "1s", 0), 2);
  assert.equal(rate.perSecond(now, "1m", 0), 1);
  assert.equal(rate.perSecond(now, "5m", 0), 0.2);
  // The log begins half a minute ago.
  assert.equal(rate.perSecond(now, "5m", now - 30_000), 2);
  assert.equal(rate.perSecond(now, "1s", now - 30_000), 2);
});

test("slices sum up what came in the last thirty of them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 600_000 }), fc.constantFrom("a", "b", "c"))),
      (events) => {
        const slices = new Slices<{ n: number }>(() => ({ n: 0 }));
        const inOrder = events.toSorted(([a], [b]) => a - b);
        for (const [ms, name] of inOrder) slices.at(NOW + ms, name).n++;
        const now = NOW + 600_000;
        const from = (Math.floor(now / 10_000) - 29) * 10_000;
        const sums = slices.sum(now, (into, { n }) => {
          into.n += n;
        });
        for (const name of ["a", "b", "c"]) {
          const expected = events.filter(([ms, each]) => each === name && NOW + ms >= from).length;
          assert.equal(sums.get(name)?.n ?? 0, expected);
        }
      },
    ),
  );
});

test("a flood of names, and of times, does not fill the memory", () => {
  const slices = new Slices<{ n: number }>(() => ({ n: 0 }));
  for (let n = 0; n < 10_000; n++) slices.at(NOW, `name ${n}`).n++;
  for (let n = 0; n < 1000; n++) slices.at(NOW - n * 86_400_000, "old").n++;
  const sums = slices.sum(NOW, (into, { n }) => {
    into.n += n;
  });
  assert.equal(sums.size, 2001);
  assert.equal(sums.get(OTHERS)?.n, 8001);
});
