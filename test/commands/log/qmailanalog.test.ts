/** qmailanalog's programs beside calculations of their own, made from matchup's lines field by field. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../../../bench/generate-log.ts";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";
import { general } from "../../../commands/log/report/overall.ts";
import { classic, PROGRAMS } from "../../../commands/log/report/qmailanalog.ts";
import { sendmailLine } from "../../../commands/log/report/zsendmail.ts";
import { Matchup } from "../../../qmail/log/matchup.ts";

/** QMAILCTL_LOG_MESSAGES makes the long form of it; with more, names would become "(others)". */
const MESSAGES = Math.min(100_000, Number(process.env.QMAILCTL_LOG_MESSAGES ?? 2000));

const matchup = new Matchup();
const fromLog = new Statistics({ foldSuccesses: false });
const fromMatchup = new Statistics({ foldSuccesses: false });
const fields: string[][] = [];
const readers = [fromLog, fromMatchup].map((statistics) => new LogReader(statistics, 0));
generate(MESSAGES, (text) => {
  readers[0]?.push(Buffer.from(text, "latin1"));
  for (const line of text.trimEnd().split("\n")) {
    const matched = matchup.line(line);
    readers[1]?.push(Buffer.from(matched, "latin1"));
    if (/^[dm] /.test(matched)) fields.push(matched.trimEnd().split(" "));
  }
});
for (const reader of readers) reader.cut();

const deliveries = fields.filter(([letter]) => letter === "d");
const messages = fields.filter(([letter]) => letter === "m");
const num = (field: readonly string[], at: number) => Number(field[at - 1]);

/** The rows behind the head: by name, the numbers before it. */
function rows(name: string, statistics: Statistics): Map<string, string[]> {
  const [, , table = ""] = classic(name, statistics, Number.POSITIVE_INFINITY).split("\n\n");
  const [head, ...lines] = table
    .trimEnd()
    .split("\n")
    .map((line) => line.trimStart());
  assert.equal(head?.split(/ +/).join(" "), PROGRAMS[name]?.columns);
  const count = head?.split(/ +/).length ?? 0;
  return new Map(
    lines.map((line) => {
      const cells = line.split(/ +/);
      return [cells.slice(count - 1).join(" "), cells.slice(0, count - 1)];
    }),
  );
}

function sums<T extends Record<string, number>>(
  all: readonly (readonly string[])[],
  key: (field: readonly string[]) => string,
  add: (field: readonly string[]) => T,
): Map<string, T> {
  const found = new Map<string, T>();
  for (const field of all) {
    const name = key(field);
    const more = add(field);
    const known = found.get(name);
    if (!known) found.set(name, { ...more });
    else
      for (const each of Object.keys(more))
        (known as Record<string, number>)[each] = (known[each] as number) + (more[each] as number);
  }
  return found;
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

/** Whole numbers exactly, seconds to a hundredth. */
function same(found: Map<string, string[]>, expected: Map<string, number[]>, what: string): void {
  assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort(), what);
  for (const [name, numbers] of expected) {
    for (const [at, number] of numbers.entries()) {
      const written = found.get(name)?.[at] ?? "";
      const allowed = written.includes(".") ? 0.011 : 0;
      assert.ok(
        Math.abs(Number(written) - number) <= allowed,
        `${what} ${name}: ${written}, not ${number}`,
      );
    }
  }
}

const result = (field: readonly string[]) => ({
  k: Number(field[1] === "k"),
  d: Number(field[1] === "d"),
  z: Number(field[1] === "z"),
  sbytes: field[1] === "k" ? num(field, 6) : 0,
  xdelay: num(field, 5) - num(field, 4),
});

for (const [source, statistics] of [
  ["the log", fromLog],
  ["matchup's lines", fromMatchup],
] as const) {
  for (const [program, dkey, mkey] of [
    ["zsenders", 7, 8],
    ["zsuids", 10, 10],
  ] as const) {
    test(`${program} of ${source}`, () => {
      const xdelays = sums(deliveries, (field) => field[dkey - 1] ?? "", result);
      const expected = sums(
        messages,
        (field) => field[mkey - 1] ?? "",
        (field) => {
          const [bytes, k, d, z] = [4, 5, 6, 7].map((at) => num(field, at)) as [
            number,
            number,
            number,
            number,
          ];
          return {
            count: 1,
            bytes,
            sbytes: bytes * k,
            rbytes: bytes * (k + d),
            recips: k + d,
            tries: k + d + z,
          };
        },
      );
      const all = Array.from(
        expected,
        ([name, { count, bytes, sbytes, rbytes, recips, tries }]) => {
          return [
            name,
            [count, bytes, sbytes, rbytes, recips, tries, xdelays.get(name)?.xdelay ?? 0],
          ] as const;
        },
      );
      same(
        rows(program, statistics),
        new Map(all.map(([name, numbers]) => [name, [...numbers]])),
        program,
      );
    });
  }

  for (const program of ["zrhosts", "zrecipients"]) {
    test(`${program} of ${source}`, () => {
      const key = (field: readonly string[]) =>
        program === "zrhosts" ? (field[7] ?? "").replace(/^.*@/, "") : (field[7] ?? "");
      const expected = Array.from(
        sums(deliveries, key, result),
        ([name, { sbytes, k, d, z, xdelay }]) => {
          return [name, [sbytes, k + d, k + d + z, xdelay]] as const;
        },
      );
      same(
        rows(program, statistics),
        new Map(expected.map(([name, numbers]) => [name, [...numbers]])),
        program,
      );
    });
  }

  for (const [program, letter] of [
    ["zsuccesses", "k"],
    ["zfailures", "d"],
    ["zdeferrals", "z"],
  ] as const) {
    test(`${program} of ${source}`, () => {
      const own = deliveries.filter((field) => field[1] === letter);
      const key = (field: readonly string[]) => (field[10] ?? "").replaceAll("_", " ");
      const expected = Array.from(sums(own, key, result), ([name, { k, d, z, xdelay }]) => {
        return [name, [k + d + z, xdelay]] as const;
      });
      same(
        rows(program, statistics),
        new Map(expected.map(([name, numbers]) => [name, [...numbers]])),
        program,
      );
    });
  }

  test(`zrxdelay of ${source}, best first`, () => {
    const expected = Array.from(
      sums(deliveries, (field) => field[7] ?? "", result),
      ([name, { k, d, z, xdelay }]) => {
        return [name, [xdelay / (k + d + z), k + d + z]] as const;
      },
    );
    const found = rows("zrxdelay", statistics);
    same(found, new Map(expected.map(([name, numbers]) => [name, [...numbers]])), "zrxdelay");
    const averages = Array.from(found.values(), ([average]) => Number(average));
    assert.deepEqual(
      averages,
      averages.toSorted((a, b) => a - b),
    );
  });

  test(`zddist of ${source}: delays to 1 %, below a second to the hundredth`, () => {
    const delays = deliveries
      .filter((field) => field[1] === "k")
      .map((field) => num(field, 5) - num(field, 3));
    delays.sort((a, b) => a - b);
    const [, , table = ""] = classic("zddist", statistics, 100).split("\n\n");
    const lines = table.trimEnd().split("\n").slice(1);
    assert.ok(lines.length > 20);
    const share = (delay: number) =>
      (100 * delays.filter((each) => each <= delay).length) / delays.length;
    for (const line of lines) {
      const [doneBy = 0, average = 0, percent = 0] = line.trim().split(/ +/).map(Number);
      assert.ok(share(doneBy * 0.99 - 0.016) <= percent + 1, line);
      assert.ok(share(doneBy * 1.01 + 0.006) >= percent, line);
      // The average is of all that complete this percentage.
      const completing = delays.slice(0, Math.ceil((delays.length * (percent + 1)) / 100));
      assert.ok(average <= mean(completing) * 1.02 + 0.01, line);
      const within = delays.filter((delay) => delay <= doneBy * 0.99 - 0.016);
      assert.ok(within.length === 0 || average >= mean(within) * 0.98 - 0.01, line);
    }
  });

  test(`zoverall of ${source}`, () => {
    const found = Object.fromEntries(
      classic("zoverall", statistics, 0)
        .split("\n")
        .filter((line) => !line.startsWith("*"))
        .map((line) => line.split(": ")),
    );
    const total = (
      all: readonly (readonly string[])[],
      value: (field: readonly string[]) => number,
    ) => all.reduce((sum, field) => sum + value(field), 0);
    const succeeded = deliveries.filter((field) => field[1] === "k");
    const xdelay = total(deliveries, (field) => num(field, 5) - num(field, 4));
    const ddelay = total(succeeded, (field) => num(field, 5) - num(field, 3));
    const first = Math.min(
      ...fields.map((field) => num(field, field[0] === "m" ? 2 : 3)).slice(0, 100_000),
    );
    const last = fields.reduce(
      (most, field) => Math.max(most, num(field, field[0] === "m" ? 3 : 5)),
      0,
    );
    const tries = total(messages, (field) => num(field, 5) + num(field, 6) + num(field, 7));
    const expected: Record<string, number> = {
      "Completed messages": messages.length,
      "Recipients for completed messages": total(
        messages,
        (field) => num(field, 5) + num(field, 6),
      ),
      "Total delivery attempts for completed messages": tries,
      "Average delivery attempts per completed message": tries / messages.length,
      "Bytes in completed messages": total(messages, (field) => num(field, 4)),
      "Bytes weighted by success": total(messages, (field) => num(field, 4) * num(field, 5)),
      "Average message qtime (s)":
        total(messages, (field) => num(field, 3) - num(field, 2)) / messages.length,
      "Total delivery attempts": deliveries.length,
      "  success": succeeded.length,
      "  failure": deliveries.filter((field) => field[1] === "d").length,
      "  deferral": deliveries.filter((field) => field[1] === "z").length,
      "Total ddelay (s)": ddelay,
      "Average ddelay per success (s)": ddelay / succeeded.length,
      "Total xdelay (s)": xdelay,
      "Average xdelay per delivery attempt (s)": xdelay / deliveries.length,
      "Time span (days)": (last - first) / 86_400,
      "Average concurrency": xdelay / (last - first),
    };
    for (const [name, number] of Object.entries(expected)) {
      const written = Number(found[name]);
      assert.ok(
        Math.abs(written - number) <= Math.abs(number) * 1e-5,
        `${name}: ${found[name]}, not ${number}`,
      );
    }
  });
}

test("the text: title, what the columns are, an empty line, columns to the right but the last", () => {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, 0);
  reader.push(
    Buffer.from(
      "d k 10.0 11.0 12.5 300 <ann@x> local.bob@y 77 0 did_1+0+0/\nm 10.0 13.0 300 1 0 0 <ann@x> 77 0\n" +
        "d d 10.0 11.0 111.0 4000 <> remote.c@longer.example 78 1000 no_such_user/\nm 10.0 111.0 4000 0 1 0 <> 78 1000\n",
    ),
  );
  assert.match(classic("zsenders", statistics, 9), /^Senders\n\n(\* .*\n){7}\nmess +bytes /);
  assert.equal(
    classic("zrhosts", statistics, 9).split("\n\n")[2],
    "sbytes  mess  tries  xdelay  host\n   300     1      1    1.50  y\n     0     1      1  100.00  longer.example\n",
  );
  assert.equal(
    classic("zfailures", statistics, 9).split("\n\n")[2],
    "del  xdelay  reason\n  1  100.00  no such user/\n",
  );
  assert.match(classic("zsuids", statistics, 9), /\n {3}1 {3}4000 .* 1000\n/);
});

test("what matchup passes on is known", () => {
  const reader = new LogReader(new Statistics(), 0);
  reader.push(Buffer.from("? 10.0 bounce msg 5 qp 7\n1700000010.5 warning: trouble in select\n"));
  reader.cut();
  const { unknown, unstamped } = reader.reading;
  assert.deepEqual({ unknown, unstamped }, { unknown: 0, unstamped: 0 });
});

test("zsendmail's lines", () => {
  assert.equal(
    sendmailLine("d k 100.5 101.0 102.5 300 <ann@x> local.bob@y 77 1000 did_1+0+0/"),
    "102.5 qp 77: to=local.bob@y, uid=1000, ddelay=2.000000, xdelay=1.500000, stat=Sent (did_1+0+0/)",
  );
  assert.equal(
    sendmailLine("m 100.5 105.5 300 1 2 3 <ann@x> 77 1000"),
    "105.5 qp 77: from=<ann@x>, uid=1000, size=300, nrcpts=3, deferrals=3, qtime=5.000000",
  );
  assert.equal(sendmailLine("105.5 warning: x"), "105.5 warning: x");
});

test("numbers as awk prints them", () => {
  for (const [number, text] of [
    [0, "0"],
    [1, "1"],
    [123_456_789, "123456789"],
    [1.5, "1.5"],
    [0.233266, "0.233266"],
    [0.000551822, "0.000551822"],
    [0.0000123456789, "1.23457e-05"],
    [1_234_567.8, "1.23457e+06"],
    [123_456.7, "123457"],
    [2 / 3, "0.666667"],
  ] as const) {
    assert.equal(general(number), text);
  }
});
