/** SIGKILL of any one process while mail comes in: it is restarted, and every message answered with 250 arrives. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { arrived, makeSite, type Site, smtp, smtpMessage } from "./_site.ts";

const PROCESSES = [
  "qmail-send",
  "qmail-lspawn",
  "qmail-rspawn",
  "qmail-queue",
  "qmail-local",
  "qmail-smtpd",
  "splogger",
  "multilog",
];

/** The pid of this site's process with title `title`; processes of others have other working directories or parents. */
function pidOf(site: Site, title: string): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ").trim();
      if (command !== title && !command.startsWith(`${title} `)) continue;
      if (session(Number(name)).some((pid) => belongs(site, pid))) return Number(name);
    } catch {
      // It has gone meanwhile.
    }
  }
  return undefined;
}

/** `pid` and its parents. */
function session(pid: number): number[] {
  const chain: number[] = [];
  for (let at = pid; at > 1; ) {
    chain.push(at);
    at = Number(readFileSync(`/proc/${at}/stat`, "latin1").split(") ")[1]?.split(" ")[1]);
  }
  return chain;
}

function belongs(site: Site, pid: number): boolean {
  return readFileSync(`/proc/${pid}/environ`, "latin1").includes(site.home);
}

/** Sends messages one after another until told to stop; returns the bodies that were answered with 250. */
async function sendUntil(site: Site, sender: string, stopped: () => boolean): Promise<string[]> {
  const accepted: string[] = [];
  for (let count = 0; !stopped() && count < 2000; count++) {
    const body = `message ${sender}${count} end`;
    try {
      const answers = await smtp(site.port, smtpMessage("", "you@mail.example.test", body));
      if (/^250 /.test(answers[5] ?? "")) accepted.push(body);
    } catch {
      // Refused or cut off: not accepted.
    }
  }
  return accepted;
}

for (const title of PROCESSES) {
  test(`${title} killed while mail comes in`, async () => {
    await using site = await makeSite();
    await site.ok("install");
    await site.ok("start");
    const maildir = join(site.home, "alias/you/Maildir/new");
    await smtp(site.port, smtpMessage("", "you@mail.example.test", "first"));
    await arrived(maildir, 1);

    let stop = false;
    const sending = [sendUntil(site, "a", () => stop), sendUntil(site, "b", () => stop)];
    const pid = pidOf(site, title);
    assert.ok(pid, `${title} is not running`);
    await arrived(maildir, 10);
    process.kill(pid, "SIGKILL");
    // The system is whole again when a message sent after the kill arrives.
    await arrived(maildir, readdirSync(maildir).length + 30, 30);
    stop = true;
    const accepted = (await Promise.all(sending)).flat();
    await site.ok("flush");

    const texts = await arrived(maildir, accepted.length, 30);
    const bodies = texts.map((text) => /message \w+ end/.exec(text)?.[0]);
    for (const body of accepted) assert.ok(bodies.includes(body), `lost: ${body}`);
    const again = pidOf(site, title);
    assert.ok(again && again !== pid, `${title} was not restarted`);
  });
}
