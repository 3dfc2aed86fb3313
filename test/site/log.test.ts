/** The log's actions on a whole installation, through the command line. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { formatTai64n } from "../../qmail/multilog/tai64n.ts";
import { LAUNCHER, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

const FROM = "ann@example.org";
const YOU = "you@mail.example.test";

function message(to: string, id: string): string[] {
  const lines = smtpMessage(FROM, to, "hello");
  return lines.map((line) => line.replace("Subject: test", `Subject: test\r\nMessage-ID: <${id}>`));
}

/** Two messages in, one refused, all of it logged. */
async function makeTraffic(site: Site): Promise<void> {
  await site.ok("install");
  await site.ok("start");
  await smtp(site.port, message(YOU, "one@example.org"));
  await smtp(site.port, message(YOU, "two@example.org"));
  await smtp(site.port, ["HELO x", `MAIL FROM:<${FROM}>`, "RCPT TO:<x@elsewhere.test>", "QUIT"]);
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  await until(
    () => (log().match(/end msg/g)?.length ?? 0) >= 2,
    "two messages have left the queue",
  );
}

test("report, trace, show, problems, explain", async () => {
  await using site = await makeSite();
  await makeTraffic(site);

  const report = JSON.parse(await site.ok("log", "report", "--json"));
  assert.equal(report.reading.unknown, 0, JSON.stringify(report.reading));
  assert.equal(report.overall["Completed messages"], 2);
  const doors = report.tables.find(({ name }: { name: string }) => name === "doors");
  const smtpd = doors.rows.find(({ door }: { door: string }) => door === "smtpd");
  assert.deepEqual([smtpd.conns, smtpd.accepted, smtpd.refused], [3, 2, 1]);
  assert.match(
    await site.ok("log", "report", "--csv", "senders"),
    /^mess,bytes.*\n2,\d+,.*,ann@example\.org\n/,
  );
  assert.match(await site.ok("log", "report", "zsenders"), /\n +2 .* <ann@example\.org>\n/);
  const html = join(site.directory, "report.html");
  await site.ok("log", "report", "--html", html);
  assert.match(readFileSync(html, "utf8"), /ann@example\.org/);
  assert.equal(statSync(html).mode & 0o777, 0o600);

  const [found, ...more] = JSON.parse(await site.ok("log", "trace", "<two@example.org>", "--json"));
  assert.deepEqual(more, []);
  const texts: string[] = found.lines.map(({ text }: { text: string }) => text);
  for (const word of [
    /event=accepted .*msgid=<two@example\.org>/,
    /info msg/,
    /success/,
    /end msg/,
    /event=ended/,
  ]) {
    assert.ok(
      texts.some((text) => word.test(text)),
      `${word}: ${texts.join("\n")}`,
    );
  }
  const missing = await site.ctl("log", "trace", "<three@example.org>");
  assert.match(missing.stderr, /nor one of that Message-ID/);

  const refused = await site.ok("log", "show", "--result", "refused", "--json");
  assert.match(JSON.parse(refused).text, /to=<x@elsewhere\.test>/);
  const lines = (await site.ok("log", "show", "--from", FROM, "--lines", "3", "--json"))
    .trim()
    .split("\n");
  assert.equal(lines.length, 3);

  assert.match(await site.ok("log", "problems"), /No problem/);
  assert.match(await site.ok("log", "explain", "4.2.1"), /mailbox/);
  const wrong = await site.ctl("log", "trace", "x", "--html", "y");
  assert.equal(wrong.code, 100);
  assert.match(wrong.stderr, /log trace takes no option "--html"[\s\S]*report/);
});

test("show --follow shows chosen lines as they come, across a rotation", async () => {
  await using site = await makeSite();
  await makeTraffic(site);
  const options = ["--config", site.config, "log", "--follow", "--from", "eve@*", "--json"];
  const child = spawn(process.execPath, [LAUNCHER, ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value ?? "{}").text as string;
    // What has been written when it begins is shown, too.
    const line = (text: string) => `${formatTai64n(Date.now())} ${text}\n`;
    await smtp(site.port, smtpMessage("eve@example.org", YOU, "hello"));
    const seen = new Set<string>();
    while (!seen.has("end")) seen.add((await next()).split(" ", 1)[0] ?? "");
    assert.ok(seen.has("info") && seen.has("smtpd:"), [...seen].join());
    rotate(site, line("info msg 999999: bytes 5 from <eve@example.org> qp 999999 uid 1"));
    assert.match(await next(), /^info msg 999999/);
  } finally {
    child.kill("SIGINT");
    await once(child, "close");
  }
});

/** What multilog does when a file is full, and a line in the new one. */
function rotate(site: Site, line: string): void {
  const directory = join(site.home, "log/qmail-send");
  renameSync(join(directory, "current"), join(directory, `${formatTai64n(Date.now())}.s`));
  writeFileSync(join(directory, "current"), line);
}
