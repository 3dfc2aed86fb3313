import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "../../../bench/generate-log.ts";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";

/** QMAILCTL_LOG_MESSAGES=1000000 makes the long form of it. */
const MESSAGES = Number(process.env.QMAILCTL_LOG_MESSAGES ?? 5000);

function close(found: number, expected: number, part: number, what: string): void {
  assert.ok(
    Math.abs(found - expected) <= Math.abs(expected) * part,
    `${what}: ${found}, not ${expected}`,
  );
}

test(`a log of ${MESSAGES} messages, beside sums kept while it was made`, () => {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, Date.now());
  // Cut into pieces that do not end with lines.
  const expected = generate(MESSAGES, (text) => {
    const bytes = Buffer.from(text, "latin1");
    for (let at = 0; at < bytes.length; at += 4099) reader.push(bytes.subarray(at, at + 4099));
  });
  reader.cut();
  assert.equal(reader.reading.unknown, 0);
  for (const name of [
    "messages",
    "recipients",
    "tries",
    "messageBytes",
    "deliveredBytes",
    "successes",
    "failures",
    "deferrals",
    "bounces",
  ] as const) {
    assert.equal(statistics[name], expected[name], name);
  }
  close(statistics.qtime, expected.qtime, 1e-6, "qtime");
  close(statistics.xdelay, expected.xdelay, 1e-6, "xdelay");
  close(statistics.ddelay.sum, expected.ddelay, 1e-6, "ddelay");
  const senders = new Map(statistics.matcher.senders.all().map((tally) => [tally.name, tally]));
  assert.equal(senders.size, Object.keys(expected.senders).length);
  for (const [name, { messages, bytes }] of Object.entries(expected.senders)) {
    assert.deepEqual(
      [senders.get(name)?.messages, senders.get(name)?.bytes],
      [messages, bytes],
      name,
    );
  }
  const hosts = new Map(statistics.matcher.hosts.all().map((tally) => [tally.name, tally]));
  for (const [name, { tries, successes }] of Object.entries(expected.hosts)) {
    assert.deepEqual(
      [hosts.get(name)?.tries, hosts.get(name)?.successes],
      [tries, successes],
      name,
    );
  }
  const delays = expected.delays.sort((a, b) => a - b);
  for (const { percent, doneBy } of statistics.ddelay.shares([10, 50, 90, 99])) {
    const exact = (delays[Math.ceil((percent * delays.length) / 100) - 1] as number) / 1000;
    assert.ok(
      doneBy >= exact && doneBy <= exact * 1.011 + 0.01,
      `${percent} %: ${doneBy}, not ${exact}`,
    );
  }
  const series = statistics.series.list();
  const sum = series.reduce((total, { bucket }) => total + bucket.success, 0);
  assert.equal(sum, expected.successes);
  assert.equal(
    statistics.week.counts.flat().reduce((a, b) => a + b),
    expected.messages,
  );
});
