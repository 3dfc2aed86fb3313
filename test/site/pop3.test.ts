/** Reading mail from a whole installation: users, POP3 with real clients, TLS, POP-before-SMTP. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate, withoutOpenssl } from "../qmail/_certificate.ts";
import { Client } from "../qmail/pop3d/_dialog.ts";
import { freePort, lacks, makeSite, qmailctl, run, type Site, smtp } from "./_site.ts";

function has(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

interface PopSite extends Site {
  readonly pop3: number;
  readonly pop3s: number;
}

/** A running server with a login, `you` and `secret`, whose mailbox is that of the alias. */
async function popSite(fields: Record<string, unknown> = {}, tls = true): Promise<PopSite> {
  const [pop3, pop3s, port] = [await freePort(), await freePort(), await freePort()];
  const site = await makeSite({
    services: {
      smtp: { listen: `127.0.0.1:${port}` },
      pop3: {
        listen: `127.0.0.1:${pop3}`,
        apop: true,
        ...(tls
          ? { listenTls: `127.0.0.1:${pop3s}`, certificate: "mail.crt", key: "mail.key" }
          : { withoutTls: true }),
      },
    },
    ...fields,
  });
  if (tls) makeCertificate(site.directory, "mail.example.test", "mail");
  await site.ok("install");
  const added = await qmailctl(["--config", site.config, "user", "add", "you", "--cram"], {
    input: "secret\n",
  });
  assert.equal(added.code, 0, added.stderr);
  await site.ok("start");
  return Object.assign(site, { port, pop3, pop3s });
}

async function deliver(site: PopSite, count: number): Promise<void> {
  for (let at = 1; at <= count; at++) {
    const message = `From: a@b.test\r\nSubject: number ${at}\r\n\r\n.dot ${at}\r\n.`.replace(
      /^\./gm,
      ".",
    );
    const answers = await smtp(site.port, [
      "HELO client.test",
      "MAIL FROM:<a@b.test>",
      "RCPT TO:<you@mail.example.test>",
      "DATA",
      message.replace("\r\n.dot", "\r\n..dot"),
      "QUIT",
    ]);
    assert.match(answers[5] ?? "", /^250/, answers.join("|"));
  }
  const maildir = join(site.home, "alias/you/Maildir/new");
  // A message of this very second is not shown yet: its place in the list is not sure.
  for (;;) {
    const names = readdirSync(maildir);
    const now = Math.floor(Date.now() / 1000);
    if (
      names.length >= count &&
      names.every((name) => statSync(join(maildir, name)).mtimeMs / 1000 < now)
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function converse(port: number, lines: readonly string[]): Promise<(string | null)[]> {
  const client = new Client(connect(port, "127.0.0.1"));
  const replies = [await client.line()];
  for (const line of lines) {
    client.send(`${line}\r\n`);
    replies.push(await client.line());
  }
  client.destroy();
  return replies;
}

test("fetchmail and curl read mail by STLS and by TLS, and delete it", {
  skip:
    withoutOpenssl || !(has("fetchmail") && has("curl"))
      ? "needs openssl, fetchmail and curl"
      : false,
  timeout: 120_000,
}, async () => {
  await using site = await popSite();
  await deliver(site, 3);
  assert.deepEqual((await converse(site.pop3, ["USER you"]))[1], "-ERR STLS first");
  const url = `pop3s://127.0.0.1:${site.pop3s}/1`;
  const curl = await run("curl", ["-sk", "-u", "you:secret", url]);
  assert.match(curl.stdout, /Subject: number 1\r\n\r\n\.dot 1\r\n/, curl.stderr);
  const stls = await run("curl", [
    "-sk",
    "--ssl-reqd",
    "-u",
    "you:secret",
    `pop3://127.0.0.1:${site.pop3}/2`,
  ]);
  assert.match(stls.stdout, /Subject: number 2/, stls.stderr);
  const refused = await run("curl", ["-sk", "-u", "you:wrong", url]);
  assert.equal(refused.code, 67);
  const rc = join(site.directory, "fetchmailrc");
  const mbox = join(site.directory, "fetched");
  writeFileSync(
    rc,
    `set invisible\npoll 127.0.0.1 service ${site.pop3} protocol pop3 uidl user you password secret sslproto "TLS1.2+" sslcertck no mda "cat >>${mbox}"\n`.replace(
      "sslcertck no",
      "no sslcertck",
    ),
    { mode: 0o600 },
  );
  const fetched = await run(
    "fetchmail",
    [
      "-f",
      rc,
      "--nosyslog",
      "-i",
      join(site.directory, "ids"),
      "--pidfile",
      join(site.directory, "pid"),
    ],
    { env: { ...process.env, FETCHMAILHOME: site.directory } },
  );
  assert.equal(fetched.code, 0, `${fetched.stdout}${fetched.stderr}`);
  assert.match(readFileSync(mbox, "utf8"), /number 1[\s\S]*number 2[\s\S]*number 3/);
  assert.deepEqual(readdirSync(join(site.home, "alias/you/Maildir/new")), []);
  assert.deepEqual(readdirSync(join(site.home, "alias/you/Maildir/cur")), []);
  const log = await site.ok("log", "--service", "qmail-pop3d");
  assert.match(log, /pop3d \d+: login ip=127\.0\.0\.1 user=you tls=TLSv1\.\d/);
  assert.match(log, /pop3d \d+: refused ip=127\.0\.0\.1 user=you tls=TLSv1\.\d why=refused/);
});

/**
 * Runs mutt with `settings` and `keys` in a terminal of its own, which has a size. It must not come to ask
 * something, as about a certificate: nobody would answer.
 */
async function mutt(directory: string, settings: readonly string[], keys: string): Promise<string> {
  const rc = join(directory, "muttrc");
  const common = [
    "confirmcreate=no",
    "delete=yes",
    `folder="${directory}"`,
    "mail_check=0",
    "mbox_type=mbox",
    "move=no",
    "pop_checkinterval=0",
    "pop_delete=yes",
    "pop_pass=secret",
    "quit=yes",
    "sleep_time=0",
    "ssl_verify_dates=no",
    "ssl_verify_host=no",
    `certificate_file="${join(directory, "mail.crt")}"`,
  ];
  const lines = [...common, ...settings].map((setting) => `set ${setting}\n`);
  writeFileSync(rc, `${lines.join("")}push "${keys}"\n`);
  // `timeout` would else put it into the background, where a terminal stops whoever reads it, unless the
  // shell of this user happens to give its place to its last command.
  const command = `stty rows 24 cols 80; timeout --foreground 60 mutt -n -F '${rc}'`;
  const { code, stdout } = await run("script", ["-qec", command, "/dev/null"], {
    env: { ...process.env, TERM: "xterm", HOME: directory },
  });
  assert.equal(code, 0, stdout);
  return stdout;
}

test("mutt reads a mailbox by TLS and fetches it by STLS", {
  skip: withoutOpenssl ? "needs openssl" : lacks("mutt", "script"),
  timeout: 120_000,
}, async () => {
  await using site = await popSite();
  await deliver(site, 3);
  const { directory, pop3, pop3s } = site;
  const inbox = join(directory, "inbox");
  writeFileSync(inbox, "");
  const folder = `pops://you@127.0.0.1:${pop3s}/`;
  const asFolder = await mutt(
    directory,
    [`spoolfile="${folder}"`],
    "<first-entry><delete-message><sync-mailbox><quit>",
  );
  assert.match(asFolder, /number 2/);
  const mailbox = join(site.home, "alias/you/Maildir");
  const left = () => ["new", "cur"].flatMap((name) => readdirSync(join(mailbox, name)));
  assert.equal(left().length, 2, asFolder);
  const fetched = await mutt(
    directory,
    [`spoolfile="${inbox}"`, `pop_host="pop://you@127.0.0.1:${pop3}"`, "ssl_starttls=yes"],
    "<fetch-mail><quit>",
  );
  const text = readFileSync(inbox, "latin1");
  assert.match(text, /^Subject: number 2[\s\S]*^\.dot 2\n[\s\S]*^Subject: number 3/m, fetched);
  assert.doesNotMatch(text, /number 1/);
  assert.deepEqual(left(), []);
  const log = await site.ok("log", "--service", "qmail-pop3d");
  // It connects anew whenever it looks for mail.
  const logins = log.match(/login .*/g) ?? [];
  assert.ok(logins.length >= 2, log);
  for (const login of logins) assert.match(login, /ip=127\.0\.0\.1 user=you tls=TLSv1\.\d/);
});

test("a POP3 login opens relaying for its address", { timeout: 60_000 }, async () => {
  await using site = await popSite({ popBeforeSmtp: 600 }, false);
  const relay = join(site.home, "run/relay");
  assert.deepEqual(readdirSync(relay), []);
  assert.equal(
    (await converse(site.pop3, ["USER you", "PASS wrong"]))[2],
    "-ERR authorization failed",
  );
  assert.deepEqual(readdirSync(relay), []);
  assert.equal((await converse(site.pop3, ["USER you", "PASS secret", "QUIT"]))[2], "+OK ");
  assert.deepEqual(readdirSync(relay), ["127.0.0.1"]);
});

test("qmailctl user: list, passwd, del, and what cannot be", { timeout: 60_000 }, async () => {
  await using site = await makeSite();
  await site.ok("install");
  const ctl = (args: string[], input: string) =>
    qmailctl(["--config", site.config, ...args], { input });
  assert.equal((await ctl(["user", "add", "joe@example.com", "--scram"], "one\n")).code, 0);
  assert.match(
    (await ctl(["user", "add", "JOE@example.com"], "one\n")).stderr,
    /there is a login "JOE@example.com" already/,
  );
  assert.match((await ctl(["user", "add", "a:b"], "one\n")).stderr, /cannot be a login/);
  assert.match((await ctl(["user", "add", "../up"], "one\n")).stderr, /cannot be a login/);
  assert.match((await ctl(["user", "add", "nopass"], "\n")).stderr, /the password is empty/);
  assert.match(
    (await ctl(["user", "add", "r", "--as", "root"], "one\n")).stderr,
    /cannot be root's/,
  );
  assert.match((await ctl(["user", "passwd", "jo"], "two\n")).stderr, /there is no login "jo"/);
  const listed = JSON.parse(await site.ok("user", "list", "--json"));
  assert.deepEqual(
    listed.map(({ login, keeps }: Record<string, unknown>) => [login, keeps]),
    [["joe@example.com", ["SCRAM keys"]]],
  );
  const file = join(site.home, "users/password");
  const before = readFileSync(file, "utf8");
  assert.ok(!before.includes("one"));
  assert.equal((await ctl(["user", "passwd", "joe@example.com"], "two\n")).code, 0);
  assert.notEqual(readFileSync(file, "utf8"), before);
  assert.match(await site.ok("user", "del", "joe@example.com"), /its mail is still in/);
  assert.deepEqual(JSON.parse(await site.ok("user", "list", "--json")), []);
});

test("qmailctl cdb compiles the rules, and names a line that is none", {
  timeout: 60_000,
}, async () => {
  await using site = await makeSite();
  await site.ok("install");
  const rules = join(site.home, "control/tcp.smtp");
  writeFileSync(rules, '127.:allow,RELAYCLIENT=""\n:allow\n');
  await site.ok("cdb");
  const compiled = readFileSync(`${rules}.cdb`);
  writeFileSync(rules, "127.:alow\n");
  const { code, stderr } = await site.ctl("cdb");
  assert.equal(code, 111);
  assert.match(stderr, /tcp\.smtp, line 1: no rule: "127\.:alow"/);
  assert.deepEqual(readFileSync(`${rules}.cdb`), compiled);
});
