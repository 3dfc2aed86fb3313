/** What qmail-showctl says of control files, as C qmail's says it. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EXIT } from "../../../qmail/exit.ts";
import { sandboxIds } from "../../../qmail/ids.ts";
import { showctl } from "../../../qmail/showctl/qmail-showctl.ts";
import { SPAWN_LIMIT } from "../../../qmail/spawn/protocol.ts";

const IDS = sandboxIds(7, 9);

/** A home with these control files: text, or null for a directory where the file should be. */
function site(files: Record<string, string | null>): Disposable & { readonly home: string } {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-showctl-"));
  mkdirSync(join(home, "control"));
  for (const [name, text] of Object.entries(files)) {
    const path = join(home, "control", name);
    if (text === null) mkdirSync(path);
    else writeFileSync(path, text, "latin1");
  }
  return { home, [Symbol.dispose]: () => rmSync(home, { recursive: true }) };
}

/** What is said of control/`name`. */
function said(files: Record<string, string | null>, name: string): string {
  using s = site(files);
  const paragraphs = `${showctl(s.home, IDS).text}\n`.split(/\n(?=\n)/);
  const found = paragraphs.find((text) => text.startsWith(`\n${name}: `));
  assert.ok(found, `nothing is said of ${name}`);
  return found.slice(name.length + 3);
}

test("without control files everything is said with its default, in C's order", () => {
  using s = site({});
  const { text, code } = showctl(s.home, IDS);
  assert.equal(code, EXIT.ok);
  assert.equal(
    text,
    `qmail home directory: ${s.home}.
user-ext delimiter: -.
paternalism (in decimal): 2.
silent concurrency limit: ${SPAWN_LIMIT}.
subdirectory split: 23.
user ids: 7, 7, 7, 7, 7, 7, 7, 7.
group ids: 9, 9.

badmailfrom: (Default.) Any MAIL FROM is allowed.

bouncefrom: (Default.) Bounce user name is MAILER-DAEMON.

bouncehost: (Default.) Bounce host name is bouncehost.

concurrencylocal: (Default.) Local concurrency is 10.

concurrencyremote: (Default.) Remote concurrency is 20.

databytes: (Default.) SMTP DATA limit is 0 bytes.

defaultdomain: (Default.) Default domain name is defaultdomain.

defaulthost: (Default.) Default host name is defaulthost.

doublebouncehost: (Default.) 2B recipient host: doublebouncehost.

doublebounceto: (Default.) 2B recipient user: postmaster.

envnoathost: (Default.) Presumed domain name is envnoathost.

helohost: (Default.) SMTP client HELO host name is helohost.

idhost: (Default.) Message-ID host name is idhost.

localiphost: (Default.) Local IP address becomes localiphost.

locals: (Default.) Messages for me are delivered locally.

me: (Default.) My name is undefined! Uh-oh.

percenthack: (Default.) The percent hack is not allowed.

plusdomain: (Default.) Plus domain name is plusdomain.

qmqpservers: (Default.) No QMQP servers.

queuelifetime: (Default.) Message lifetime in the queue is 604800 seconds.

rcpthosts: (Default.) SMTP clients may send messages to any recipient.

morercpthosts: (Default.) No rcpthosts; morercpthosts is irrelevant.

morercpthosts.cdb: (Default.) No effect.

smtpgreeting: (Default.) SMTP greeting: 220 smtpgreeting.

smtproutes: (Default.) No artificial SMTP routes.

timeoutconnect: (Default.) SMTP client connection timeout is 60 seconds.

timeoutremote: (Default.) SMTP client data timeout is 1200 seconds.

timeoutsmtpd: (Default.) SMTP server data timeout is 1200 seconds.

virtualdomains: (Default.) No virtual domains.
`,
  );
});

const OOPS = "Oops! Trouble reading this file.";

/** Control files, the one in question, what is said of it. */
const TABLE: readonly (readonly [Record<string, string | null>, string, string])[] = [
  [{ me: "mail.example.com\nmore\n" }, "me", "My name is mail.example.com."],
  [{ me: "mail.example.com" }, "idhost", "(Default.) Message-ID host name is mail.example.com."],
  [{ me: "mail.example.com" }, "bouncefrom", "(Default.) Bounce user name is MAILER-DAEMON."],
  [{ helohost: "" }, "helohost", "SMTP client HELO host name is ."],
  [{ helohost: "a\x01\xe9b \t\n" }, "helohost", "SMTP client HELO host name is a??b."],
  [{ helohost: null }, "helohost", OOPS],
  [{ databytes: "70 and more" }, "databytes", "SMTP DATA limit is 70 bytes."],
  [{ databytes: "none" }, "databytes", "(Default.) SMTP DATA limit is 0 bytes."],
  [{ databytes: "2147483648" }, "databytes", "SMTP DATA limit is 0 bytes."],
  [{ databytes: "4294967299" }, "databytes", "SMTP DATA limit is 3 bytes."],
  [{ databytes: null }, "databytes", OOPS],
  [
    { locals: "#no\n\na.example \n b\r" },
    "locals",
    "\nMessages for a.example are delivered locally.\nMessages for  b? are delivered locally.",
  ],
  [
    { badmailfrom: "a\0b\n\0c\n" },
    "badmailfrom",
    "\na not accepted in MAIL FROM.\nb not accepted in MAIL FROM.",
  ],
  [{ locals: "" }, "locals", ""],
  [{ locals: null }, "locals", OOPS],
  [{ rcpthosts: null }, "morercpthosts", "(Default.) No effect."],
  [
    { rcpthosts: "", morercpthosts: "x" },
    "morercpthosts",
    "\nSMTP clients may send messages to recipients at x.",
  ],
  [
    { morercpthosts: "x" },
    "morercpthosts",
    "\nNo rcpthosts; doesn't matter that morercpthosts has x.",
  ],
  [
    { morercpthosts: "" },
    "morercpthosts.cdb",
    "Oops! morercpthosts exists but morercpthosts.cdb doesn't.",
  ],
  [
    { "morercpthosts.cdb": "" },
    "morercpthosts.cdb",
    "Oops! morercpthosts.cdb exists but morercpthosts doesn't.",
  ],
  [{ "smtproutes~": "" }, "smtproutes~", "I have no idea what this file does."],
  // What C qmail does not know and we do.
  [{ badrcptto: "a@b" }, "badrcptto", "\na@b not accepted in RCPT TO."],
  [{ popbeforesmtp: "600" }, "popbeforesmtp", "POP3 logins allow relaying for 600 seconds."],
  [{ remoteauth: "relay:joe:secret" }, "remoteauth", "Passwords for relays. (Not shown.)"],
  [{ "tcp.smtp": "127.:allow" }, "tcp.smtp", "\nRule for clients: 127.:allow"],
  [{ "tcp.smtp.cdb": "" }, "tcp.smtp.cdb", "Oops! tcp.smtp.cdb exists but tcp.smtp doesn't."],
];

for (const [files, name, words] of TABLE) {
  test(`${name} of ${JSON.stringify(files)}`, () => {
    assert.equal(said(files, name).trimEnd(), words);
  });
}

test("a database older than its text is said", () => {
  using s = site({ morercpthosts: "", "morercpthosts.cdb": "" });
  const text = (cdb: number) => {
    utimesSync(join(s.home, "control/morercpthosts"), 1000, 1000);
    utimesSync(join(s.home, "control/morercpthosts.cdb"), cdb, cdb);
    return /\nmorercpthosts.cdb: (.*)/.exec(showctl(s.home, IDS).text)?.[1];
  };
  assert.equal(text(999), "Oops! morercpthosts.cdb is older than morercpthosts.");
  assert.equal(text(1000), "Modified recently enough; hopefully up to date.");
});

test("without control, or with a me that cannot be read, it ends with 111", () => {
  using s = site({ me: null });
  const me = showctl(s.home, IDS);
  assert.deepEqual([me.code, me.text.endsWith("\nOops! Trouble reading control/me.")], [111, true]);
  rmSync(join(s.home, "control"), { recursive: true });
  const none = showctl(s.home, IDS);
  assert.deepEqual(
    [none.code, none.text.endsWith("\nOops! Unable to chdir to control.\n")],
    [111, true],
  );
});
