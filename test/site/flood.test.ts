/**
 * Honest clients among many that are slow on purpose or send junk. QMAILCTL_TEST_LONG: 2,000 and 500 from 20 addresses for a
 * minute; else a tenth of these, with a tenth of the places.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeSite } from "./_site.ts";

const LONG = process.env.QMAILCTL_TEST_LONG !== undefined;
const FLOOD = LONG
  ? { slow: 2000, junk: 500, addresses: 20, places: 1000, seconds: 60 }
  : { slow: 200, junk: 50, addresses: 20, places: 100, seconds: 15 };
const HONEST = 10;
/** What the places need to be filled. */
const FILL_MS = LONG ? 15_000 : 5000;
const PAUSE_MS = 200;
const WANTED_MS = 1000;

/** One whole session; milliseconds from the connection to the end. Throws when anything is refused. */
async function session(port: number, number: number): Promise<number> {
  const began = performance.now();
  const localAddress = `127.0.1.${1 + number}`;
  const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
  socket.setTimeout(30_000, () => socket.destroy(new Error("no reply for half a minute")));
  const lines = [
    "EHLO honest.test",
    "MAIL FROM:<me@honest.test>",
    "RCPT TO:<postmaster@mail.flood.test>",
    "DATA",
    "Subject: x\r\n\r\nhello\r\n.",
    "QUIT",
  ];
  let text = "";
  for await (const chunk of socket) {
    text += chunk;
    const last = text.trimEnd().split("\r\n").at(-1) ?? "";
    if (!text.endsWith("\r\n") || !/^\d{3} /.test(last)) continue;
    if (!/^[23]/.test(last)) throw new Error(last);
    text = "";
    const line = lines.shift();
    if (line === undefined) break;
    socket.write(`${line}\r\n`);
  }
  assert.equal(lines.length, 0, `hung up before ${lines[0]}`);
  return performance.now() - began;
}

/** So many seconds of sessions of honest clients; what each took, in order. */
async function honest(port: number, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  const client = async (number: number) => {
    while (performance.now() < end) {
      times.push(await session(port, number));
      await sleep(PAUSE_MS);
    }
  };
  await Promise.all(Array.from({ length: HONEST }, (_, number) => client(number)));
  return times.sort((a, b) => a - b);
}

const p95 = (times: readonly number[]) => times[Math.floor(times.length * 0.95)] as number;

test("slow clients and junk do not keep honest ones waiting", { timeout: 300_000 }, async (t) => {
  const { slow, junk, addresses, places, seconds } = FLOOD;
  await using site = await makeSite({
    host: "mail.flood.test",
    services: { smtp: { concurrency: places } },
  });
  await site.ok("install", "--listen", `127.0.0.1:${site.port}`);
  await site.ok("start");
  const before = p95(await honest(site.port, 3));
  const words = [site.port, slow, junk, addresses].map(String);
  const flood = spawn(
    process.execPath,
    [fileURLToPath(new URL("_flood.ts", import.meta.url)), ...words],
    { stdio: ["pipe", "inherit", "inherit"] },
  );
  try {
    await sleep(FILL_MS);
    const times = await honest(site.port, seconds);
    const [median, late] = [times[times.length >> 1] as number, p95(times)];
    t.diagnostic(
      `${times.length} sessions: median ${median.toFixed(0)} ms, p95 ${late.toFixed(0)} ms, most ${times.at(-1)?.toFixed(0)} ms; p95 before ${before.toFixed(0)} ms`,
    );
    // Where everything is slow, this may be.
    const wanted = LONG ? WANTED_MS : Math.max(WANTED_MS, before * 20);
    assert.ok(late < wanted, `p95 ${late} ms`);
    const log = readFileSync(join(site.home, "log/qmail-smtpd/current"), "latin1");
    for (const sign of [
      /patience is short/,
      /why=timeout/,
      /why=too-many-errors/,
      /why=sent-away/,
    ]) {
      assert.match(log, sign);
    }
  } finally {
    flood.stdin.end();
    await once(flood, "exit");
  }
});
