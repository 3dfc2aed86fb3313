/**
 * Writes a log of qmail-send, and beside it what a report of it must say: `node bench/generate-log.ts
 * MESSAGES FILE [--postfix]`. The sums are kept while the lines are made, by other code than the
 * report's. With --postfix the same mail as Postfix would log it, for a comparison with pflogsumm.
 */

import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { formatTai64n } from "../qmail/multilog/tai64n.ts";

export interface Expected {
  messages: number;
  recipients: number;
  tries: number;
  messageBytes: number;
  deliveredBytes: number;
  /** Seconds. */
  qtime: number;
  successes: number;
  failures: number;
  deferrals: number;
  ddelay: number;
  xdelay: number;
  bounces: number;
  senders: Record<string, { messages: number; bytes: number }>;
  hosts: Record<string, { tries: number; successes: number }>;
  /** Every successful delivery's delay, in milliseconds. */
  delays: number[];
}

interface Timed {
  readonly ms: number;
  readonly text: string;
}

/** A generator of numbers from 0 to 1, the same for every run. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const DELIVERY_LINE = /^(?:starting delivery (\d+): msg \d+ to|delivery (\d+):) (\w+)/;
const START = Date.UTC(2026, 8, 1);
const SUCCESS = "192.0.2.7_accepted_message./Remote_host_said:_250_ok_";
const DEFERRALS = [
  "Connected_to_192.0.2.9_but_connection_died._(#4.4.2)/",
  "Sorry,_I_wasn't_able_to_establish_an_SMTP_connection._(#4.4.1)/",
];
const FAILURE =
  "192.0.2.8_does_not_like_recipient./Remote_host_said:_550_5.1.1_no_such_user/Giving_up_on_192.0.2.8./";

/** Makes `count` messages; lines and sums go to the two functions as they come. */
export function generate(count: number, write: (text: string) => void): Expected {
  const random = dice(7);
  const sums: Expected = {
    messages: 0,
    recipients: 0,
    tries: 0,
    messageBytes: 0,
    deliveredBytes: 0,
    qtime: 0,
    successes: 0,
    failures: 0,
    deferrals: 0,
    ddelay: 0,
    xdelay: 0,
    bounces: 0,
    senders: {},
    hosts: {},
    delays: [],
  };
  const pending: Timed[] = [];
  let clock = START;
  let delivery = 0;
  const underWay = new Map<string, boolean>();
  const use = { local: 0, remote: 0 };
  const flush = (until: number) => {
    if (pending.length === 0) return;
    pending.sort((a, b) => a.ms - b.ms);
    let at = 0;
    let text = "";
    for (; at < pending.length && (pending[at] as Timed).ms < until; at++) {
      const { ms, text: line } = pending[at] as Timed;
      text += `${formatTai64n(ms)} ${line}\n`;
      const [, starting, ended, to] = DELIVERY_LINE.exec(line) ?? [];
      if (starting !== undefined) underWay.set(starting, to === "local");
      const local = underWay.get(starting ?? ended ?? "");
      if (local === undefined) continue;
      if (ended !== undefined) underWay.delete(ended);
      use[local ? "local" : "remote"] += starting === undefined ? -1 : 1;
      text += `${formatTai64n(ms)} status: local ${use.local}/20 remote ${use.remote}/40\n`;
    }
    pending.splice(0, at);
    if (text !== "") write(text);
  };
  const say = (ms: number, text: string) => pending.push({ ms, text });
  for (let n = 0; n < count; n++) {
    // Busier by day.
    const hour = (clock / 3_600_000) % 24;
    clock += Math.ceil((random() * 4000) / (1 + 3 * Math.sin((hour / 24) * Math.PI)));
    const id = 100_000 + (n % 50_000);
    const qp = 1000 + (n % 30_000);
    const who = Math.floor(random() ** 3 * 5000);
    const sender = `user${who}@example.com`;
    const bytes = 500 + Math.floor(random() ** 4 * 200_000);
    const recipients = random() < 0.8 ? 1 : 1 + Math.floor(random() * 5);
    let succeeded = 0;
    let failed = 0;
    let end = clock;
    say(clock, `new msg ${id}`);
    say(clock, `info msg ${id}: bytes ${bytes} from <${sender}> qp ${qp} uid ${who % 7}`);
    for (let r = 0; r < recipients; r++) {
      const local = random() < 0.4;
      const host = local ? "example.com" : `host${Math.floor(random() ** 3 * 3000)}.example.net`;
      const to = `rcpt${Math.floor(random() * 40_000)}@${host}`;
      let at = clock + 1 + r;
      for (;;) {
        const number = ++delivery;
        const took = local
          ? 5 + Math.floor(random() * 40)
          : 100 + Math.floor(random() ** 6 * 20_000);
        const luck = random();
        const chance = sums.hosts[host] ?? { tries: 0, successes: 0 };
        sums.hosts[host] = chance;
        chance.tries++;
        sums.xdelay += took / 1000;
        say(at, `starting delivery ${number}: msg ${id} to ${local ? "local" : "remote"} ${to}`);
        const done = at + took;
        end = Math.max(end, done);
        if (local || luck < 0.93) {
          chance.successes++;
          succeeded++;
          sums.ddelay += (done - clock) / 1000;
          sums.delays.push(done - clock);
          say(
            done,
            `delivery ${number}: success: ${local ? "did_1+0+0/" : `${SUCCESS}${number}_qp_${qp}/`}`,
          );
        } else if (luck < 0.98) {
          sums.deferrals++;
          say(done, `delivery ${number}: deferral: ${DEFERRALS[number % 2]}`);
        } else {
          failed++;
          say(done, `delivery ${number}: failure: ${FAILURE}`);
        }
        sums.tries++;
        if (local || luck < 0.93 || luck >= 0.98) break;
        at = done + 400_000;
      }
    }
    if (failed > 0) {
      sums.bounces++;
      say(end, `bounce msg ${id} qp ${qp + 1}`);
    }
    say(end, `end msg ${id}`);
    sums.messages++;
    sums.recipients += succeeded + failed;
    sums.successes += succeeded;
    sums.failures += failed;
    sums.messageBytes += bytes;
    sums.deliveredBytes += bytes * succeeded;
    sums.qtime += (end - clock) / 1000;
    const by = sums.senders[sender] ?? { messages: 0, bytes: 0 };
    sums.senders[sender] = by;
    by.messages++;
    by.bytes += bytes;
    if (n % 1000 === 999) flush(clock);
  }
  flush(Number.POSITIVE_INFINITY);
  return sums;
}

/** The same mail in Postfix's words: what is needed to tell the same story. */
export function toPostfix(line: string, state: Map<string, string>): string {
  const date = new Date(Number((BigInt(`0x${line.slice(1, 17)}`) - 2n ** 62n - 10n) * 1000n));
  const text = line.slice(26);
  const stamp = `${date.toUTCString().slice(8, 11)} ${String(date.getUTCDate()).padStart(2)} ${date.toISOString().slice(11, 19)} mail`;
  const info = /^info msg (\d+): bytes (\d+) from <(.*)> qp/.exec(text);
  if (info) {
    const id = Number(info[1]).toString(16).toUpperCase().padStart(10, "0");
    return (
      `${stamp} postfix/smtpd[4711]: ${id}: client=client.example.org[198.51.100.7]\n` +
      `${stamp} postfix/cleanup[4712]: ${id}: message-id=<${info[1]}.${info[2]}@example.org>\n` +
      `${stamp} postfix/qmgr[4713]: ${id}: from=<${info[3]}>, size=${info[2]}, nrcpt=1 (queue active)\n`
    );
  }
  const start = /^starting delivery (\d+): msg (\d+) to (\w+) (.*)$/.exec(text);
  if (start) {
    const id = Number(start[2]).toString(16).toUpperCase().padStart(10, "0");
    state.set(
      start[1] as string,
      `${start[3] === "local" ? "local" : "smtp"}[4714]: ${id}: to=<${start[4]}>, relay=host.example.net[192.0.2.7]:25`,
    );
    return "";
  }
  const done = /^delivery (\d+): (\w+): (.*)$/.exec(text);
  if (done) {
    const about = state.get(done[1] as string) ?? "";
    state.delete(done[1] as string);
    const status = { success: "sent", deferral: "deferred", failure: "bounced" }[done[2] as string];
    return `${stamp} postfix/${about}, delay=1.2, delays=0.1/0.01/0.5/0.59, dsn=2.0.0, status=${status} (${(done[3] ?? "").replaceAll("_", " ")})\n`;
  }
  const end = /^end msg (\d+)$/.exec(text);
  if (!end) return "";
  return `${stamp} postfix/qmgr[4713]: ${Number(end[1]).toString(16).toUpperCase().padStart(10, "0")}: removed\n`;
}

if (import.meta.main) {
  const [count = "10000", file = "qmail.log", kind] = process.argv.slice(2);
  const fd = openSync(file, "w");
  const state = new Map<string, string>();
  const expected = generate(Number(count), (text) => {
    const lines =
      kind === "--postfix"
        ? text
            .trimEnd()
            .split("\n")
            .map((line) => toPostfix(line, state))
            .join("")
        : text;
    if (lines !== "") writeSync(fd, lines);
  });
  closeSync(fd);
  const { delays, ...sums } = expected;
  delays.sort((a, b) => a - b);
  const at = (percent: number) => delays[Math.ceil((percent * delays.length) / 100) - 1];
  const percentiles = Object.fromEntries([50, 90, 99].map((percent) => [percent, at(percent)]));
  writeFileSync(`${file}.json`, JSON.stringify({ ...sums, percentiles }));
}
