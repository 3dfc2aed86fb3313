/** SIGKILL of any one process while mail comes in: it is restarted, and every message answered with 250 arrives. */

import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processInfo } from "../../qmail/supervise/procfs.ts";
import { arrived, arrivedUntil, makeSite, type Site, smtp, smtpMessage } from "./_site.ts";

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

/** The pid of this site's process with title `title`; all of them work in the qmail home. */
function pidOf(site: Site, title: string): number | undefined {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      const info = processInfo(pid);
      return info && titleOf(info) === title && workingDirectory(pid) === site.home;
    });
}

function titleOf({ title }: { title: string }): string {
  return title.split(" ")[0] ?? "";
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
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

    // A delivery that was reported too late is made twice, so the number says nothing.
    await arrivedUntil(
      maildir,
      (texts) => {
        const bodies = new Set(texts.map((text) => /message \w+ end/.exec(text)?.[0]));
        return accepted.every((body) => bodies.has(body));
      },
      30,
    );
    const again = pidOf(site, title);
    assert.ok(again && again !== pid, `${title} was not restarted`);
  });
}
