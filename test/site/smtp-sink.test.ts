/** Postfix's smtp-sink(1) as the far side, with each of its faults: what the log says, and what stays in the queue. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type LogLine, parseLogLine } from "../../qmail/send/log.ts";
import { arrivedUntil, freePort, makeSite, type Site, smtp, smtpMessage, until } from "./_site.ts";

const SINK = "/usr/sbin/smtp-sink";
const skip = existsSync(SINK) ? false : "smtp-sink (postfix) is not installed";
const isRoot = process.getuid?.() === 0;

/** taken: nothing stays. waits: the recipient is still to do. bounced: nothing stays, and the sender has a bounce. */
type Fate = "taken" | "waits" | "bounced";

interface Fault {
  readonly options: readonly string[];
  readonly fate: Fate;
  /** What the log says behind "success: ", "deferral: " or "failure: ". */
  readonly log: RegExp;
}

const TAKEN = {
  fate: "taken",
  log: /^127\.0\.0\.1_accepted_message\.\/Remote_host_said:_250_/,
} as const;
const DIED = {
  fate: "waits",
  log: /^Connected_to_127\.0\.0\.1_but_connection_died\._\(#4\.4\.2\)\/$/,
} as const;
const MAYBE = {
  fate: "waits",
  log: /^Connected_to_127\.0\.0\.1_but_connection_died\._Possible_duplicate!_\(#4\.4\.2\)\/$/,
} as const;

/** By the domain whose server it is. */
const FAULTS: Readonly<Record<string, Fault>> = {
  "all-well": { options: [], ...TAKEN },
  "no-esmtp": { options: ["-e"], ...TAKEN },
  "no-pipelining": { options: ["-p"], ...TAKEN },
  "no-8bitmime": { options: ["-8"], ...TAKEN },
  "no-enhanced-codes": { options: ["-E"], ...TAKEN },
  "no-xforward": { options: ["-F"], ...TAKEN },
  "no-dsn": { options: ["-N"], ...TAKEN },
  "no-auth": { options: ["-a", "-C"], ...TAKEN },
  "a-pix": { options: ["-P"], ...TAKEN },
  "another-name": { options: ["-h", "other.test"], ...TAKEN },
  "a-small-window": { options: ["-T", "512"], ...TAKEN },
  "slow-at-rcpt": { options: ["-p", "-W", "RCPT:1"], ...TAKEN },
  "slow-at-data": { options: ["-w", "1"], ...TAKEN },
  "slow-to-read": { options: ["-H", "1"], ...TAKEN },
  "speaks-lmtp": {
    options: ["-L"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_my_name_was_rejected\.\/Remote_host_said:_5/,
  },
  "hard-connect": {
    options: ["-f", "CONNECT"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_greeting_failed\.\/Remote_host_said:_500_5\.3\.0/,
  },
  "soft-connect": {
    options: ["-r", "CONNECT"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_greeting_failed\.\/Remote_host_said:_450_4\.3\.0/,
  },
  "hard-ehlo": { options: ["-f", "EHLO"], ...TAKEN },
  "hard-names": {
    options: ["-f", "EHLO,HELO"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_my_name_was_rejected\.\/Remote_host_said:_500_5\.3\.0/,
  },
  "hard-mail": {
    options: ["-f", "MAIL"],
    fate: "bounced",
    log: /^Connected_to_127\.0\.0\.1_but_sender_was_rejected\.\/Remote_host_said:_500_5\.3\.0/,
  },
  "soft-mail": {
    options: ["-r", "MAIL"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_sender_was_rejected\.\/Remote_host_said:_450_4\.3\.0/,
  },
  "hard-rcpt": {
    options: ["-f", "RCPT"],
    fate: "bounced",
    log: /^127\.0\.0\.1_does_not_like_recipient\.\/Remote_host_said:_500_.*\/Giving_up_on_127\.0\.0\.1\.\/$/,
  },
  "soft-rcpt": {
    options: ["-r", "RCPT"],
    fate: "waits",
    log: /^127\.0\.0\.1_does_not_like_recipient\.\/Remote_host_said:_450_.*\/Giving_up_on_127\.0\.0\.1\.\/$/,
  },
  "hard-data": {
    options: ["-f", "DATA"],
    fate: "bounced",
    log: /^127\.0\.0\.1_failed_on_DATA_command\.\/Remote_host_said:_500_/,
  },
  "soft-data": {
    options: ["-r", "DATA"],
    fate: "waits",
    log: /^127\.0\.0\.1_failed_on_DATA_command\.\/Remote_host_said:_450_/,
  },
  "hard-end": {
    options: ["-f", "."],
    fate: "bounced",
    log: /^127\.0\.0\.1_failed_after_I_sent_the_message\.\/Remote_host_said:_500_/,
  },
  "soft-end": {
    options: ["-r", "."],
    fate: "waits",
    log: /^127\.0\.0\.1_failed_after_I_sent_the_message\.\/Remote_host_said:_450_/,
  },
  "hard-words": {
    options: ["-f", "RCPT", "-B", "550 5.1.1 nobody of that name"],
    fate: "bounced",
    log: /Remote_host_said:_550_5\.1\.1_nobody_of_that_name\//,
  },
  "soft-words": {
    options: ["-r", "RCPT", "-b", "451 4.7.1 greylisted"],
    fate: "waits",
    log: /Remote_host_said:_451_4\.7\.1_greylisted\//,
  },
  "aborts-the-message": {
    options: ["-A", "0"],
    fate: "bounced",
    log: /^127\.0\.0\.1_failed_after_I_sent_the_message\.\/Remote_host_said:_550_/,
  },
  "quits-connect": { options: ["-q", "CONNECT"], ...DIED },
  "quits-ehlo": { options: ["-q", "EHLO"], ...DIED },
  "quits-mail": { options: ["-q", "MAIL"], ...DIED },
  "quits-rcpt": { options: ["-q", "RCPT"], ...DIED },
  "quits-data": { options: ["-q", "DATA"], ...DIED },
  "quits-end": { options: ["-q", "."], ...MAYBE },
  "421-connect": {
    options: ["-Q", "CONNECT"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_greeting_failed\.\/Remote_host_said:_421_/,
  },
  "421-mail": {
    options: ["-p", "-Q", "MAIL"],
    fate: "waits",
    log: /^Connected_to_127\.0\.0\.1_but_sender_was_rejected\.\/Remote_host_said:_421_/,
  },
  "421-rcpt": {
    options: ["-p", "-Q", "RCPT"],
    fate: "waits",
    log: /^127\.0\.0\.1_does_not_like_recipient\.\/Remote_host_said:_421_/,
  },
  "421-data": {
    options: ["-p", "-Q", "DATA"],
    fate: "waits",
    log: /^127\.0\.0\.1_failed_on_DATA_command\.\/Remote_host_said:_421_/,
  },
  "421-end": {
    options: ["-Q", "."],
    fate: "waits",
    log: /^127\.0\.0\.1_failed_after_I_sent_the_message\.\/Remote_host_said:_421_/,
  },
};

/** Starts smtp-sink; resolves when its port answers. It ends with the test. */
async function sink(t: TestContext, options: readonly string[]): Promise<number> {
  const port = await freePort();
  // As root it wants to be told whom to become.
  const user = isRoot ? ["-u", "nobody"] : [];
  const args = [...user, ...options, `127.0.0.1:${port}`, "10"];
  const child: ChildProcess = spawn(SINK, args, { stdio: "ignore" });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  // To connect would be a session already: -n and -M count.
  await until(() => listens(port), `smtp-sink ${options.join(" ")}`);
  return port;
}

/** True when somebody listens on `port` of 127.0.0.1 (proc(5), net/tcp). */
function listens(port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return new RegExp(` ${local} 00000000:0000 0A `).test(readFileSync("/proc/net/tcp", "latin1"));
}

function logLines(site: Site): LogLine[] {
  const text = readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  return text.split("\n").map((line) => parseLogLine(line.replace(/^@[0-9a-f]+ /, "")));
}

interface Attempt {
  readonly outcome: string;
  readonly text: string;
}

/** What became of each delivery to `recipient`, in order. */
function attempts(site: Site, recipient: string): Attempt[] {
  const lines = logLines(site);
  return lines.flatMap((start) => {
    if (start.type !== "starting" || start.recipient !== recipient) return [];
    const end = lines.find((line) => line.type === "delivery" && line.delivery === start.delivery);
    return end?.type === "delivery" ? [{ outcome: end.outcome, text: end.text }] : [];
  });
}

const OUTCOME: Readonly<Record<Fate, string>> = {
  taken: "success",
  waits: "deferral",
  bounced: "failure",
};

/** The site with a server for each domain, started. */
async function startSite(domains: Readonly<Record<string, number>>): Promise<Site> {
  const routes = Object.entries(domains).map(([name, port]) => [
    `${name}.test`,
    `127.0.0.1:${port}`,
  ]);
  const site = await makeSite({
    routes: Object.fromEntries(routes),
    concurrency: { remote: 100 },
    rcpthosts: ["mail.example.test", ...Object.keys(domains).map((name) => `${name}.test`)],
  });
  await site.ok("install");
  await site.ok("start");
  return site;
}

async function post(site: Site, to: string): Promise<void> {
  const answers = await smtp(site.port, smtpMessage("you@mail.example.test", to, "hello"));
  assert.match(answers[5] ?? "", /^250 /);
}

/** What lies in the directory `name` of the queue, however deep. */
function queued(site: Site, name: string): string[] {
  const directory = join(site.home, "queue", name);
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" });
  return names
    .filter((path) => /(^|\/)\d+$/.test(path) && (name === "bounce" || path.includes("/")))
    .map((path) => readFileSync(join(directory, path), "latin1"));
}

test("smtp-sink with each of its faults: log and queue", { skip }, async (t) => {
  const ports = await Promise.all(
    Object.entries(FAULTS).map(
      async ([name, { options }]) => [name, await sink(t, options)] as const,
    ),
  );
  await using site = await startSite(Object.fromEntries(ports));
  for (const name of Object.keys(FAULTS)) await post(site, `you@${name}.test`);
  for (const [name, { fate, log }] of Object.entries(FAULTS)) {
    const recipient = `you@${name}.test`;
    await until(() => attempts(site, recipient).length > 0, `a delivery to ${recipient}`);
    const [attempt] = attempts(site, recipient) as [Attempt];
    assert.equal(attempt.outcome, OUTCOME[fate], `${recipient}: ${attempt.text}`);
    assert.match(attempt.text, log, recipient);
  }
  const bounced = Object.entries(FAULTS).filter(([, { fate }]) => fate === "bounced");
  const bounces = await arrivedUntil(
    join(site.home, "alias/you/Maildir/new"),
    (texts) => texts.length >= bounced.length,
  );
  for (const [name, { log }] of bounced) {
    const about = bounces.filter((text) => text.includes(`\n<you@${name}.test>:\n`));
    assert.equal(about.length, 1, name);
    assert.match((about[0] as string).replaceAll("\n", "/").replaceAll(" ", "_"), unanchored(log));
  }
  await site.ok("stop");
  const waiting = Object.entries(FAULTS).filter(([, { fate }]) => fate === "waits");
  const records = waiting.map(([name]) => `Tyou@${name}.test\0`);
  assert.deepEqual(queued(site, "remote").sort(), records.sort());
  assert.equal(queued(site, "info").length, waiting.length);
  assert.deepEqual(queued(site, "bounce"), []);
});

test("smtp-sink that goes away after a session or a message, and one that has room for one", {
  skip,
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-sink-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o777);
  const once = {
    // Without -c it does not count.
    "one-session": await sink(t, ["-c", "-n", "1"]),
    "one-message": await sink(t, ["-M", "1"]),
  };
  const one = await sink(t, ["-m", "1", "-d", join(directory, "m.")]);
  await using site = await startSite({ ...once, "one-at-once": one });
  for (const [name, port] of Object.entries(once)) {
    const recipient = `you@${name}.test`;
    await post(site, recipient);
    await until(() => attempts(site, recipient).length === 1, `the first to ${recipient}`);
    // The connection is kept for a while, and with it the session.
    await until(() => !listens(port), "the end of the server");
    await post(site, recipient);
    await until(() => attempts(site, recipient).length === 2, `the second to ${recipient}`);
    const [first, second] = attempts(site, recipient) as [Attempt, Attempt];
    // With -M it is gone before it has answered.
    assert.match(first.text, name === "one-message" ? MAYBE.log : TAKEN.log, name);
    assert.match(
      second.text,
      /^Sorry,_I_wasn't_able_to_establish_an_SMTP_connection\._\(#4\.4\.1\)/,
    );
  }
  const recipient = "you@one-at-once.test";
  for (let count = 0; count < 2; count++) await post(site, recipient);
  await until(() => attempts(site, recipient).length === 2, "both deliveries");
  assert.ok(attempts(site, recipient).every(({ outcome }) => outcome === "success"));
  const dumps = readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
  assert.equal(dumps.length, 2);
  for (const text of dumps) {
    assert.match(text, /^X-Mail-Args: <you@mail\.example\.test>/m);
    assert.match(text, /^X-Rcpt-Args: <you@one-at-once\.test>/m);
    assert.ok(text.trimEnd().endsWith("Subject: test\n\nhello"), text);
  }
});

function unanchored({ source }: RegExp): RegExp {
  return new RegExp(source.replace(/^\^/, "").replace(/\$$/, ""));
}
