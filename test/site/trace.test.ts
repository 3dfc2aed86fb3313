/** `qmailctl send --trace`, and mail that leaves a whole installation. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { farServer } from "../qmail/remote/_server.ts";
import { arrived, makeSite, smtp, smtpMessage, until } from "./_site.ts";

test("send --trace shows route, dialogue and result, and no password", async () => {
  await using far = await farServer({
    EHLO: "250-far.test\r\n250 AUTH PLAIN",
    AUTH: "235 welcome",
    RCPT: (_, line) => (line.includes("nobody") ? "550 nobody here" : "250 ok"),
  });
  await using site = await makeSite({
    control: {
      smtproutes: [`far.test:127.0.0.1:${far.port}`, "dead.test:127.0.0.1:1"],
      remoteoptions: ["far.test:auth=relay authwithouttls"],
    },
  });
  await site.ok("install");
  const { writeFileSync } = await import("node:fs");
  writeFileSync(join(site.home, "control/remoteauth"), "relay:me:secret\n", { mode: 0o600 });

  const shown = await site.ok("send", "--trace", "you@far.test");
  assert.match(shown, new RegExp(`^route {2}127.0.0.1 port ${far.port}, as me\\n`));
  assert.match(shown, /\* 127\.0\.0\.1 \[127\.0\.0\.1\] \(no DNSSEC\)/);
  assert.match(shown, /> MAIL FROM:<postmaster@mail\.example\.test>\n\s+< 250 ok/);
  assert.match(shown, /result success: 127\.0\.0\.1 accepted message\./);
  assert.doesNotMatch(shown, /secret\n?$|AG1lAHNlY3JldA/m);
  assert.equal(far.messages.length, 1);

  const refused = await site.ctl("send", "--trace", "nobody@far.test", "--json");
  assert.equal(refused.code, 100);
  const { result, events } = JSON.parse(refused.stdout);
  assert.equal(result, "failure");
  assert.ok(events.some(({ text }: { text: string }) => text === "550 nobody here"));

  assert.equal((await site.ctl("send", "--trace", "x@dead.test")).code, 111);
  const local = await site.ctl("send", "--trace", "you@mail.example.test");
  assert.equal(local.code, 100);
  assert.match(local.stderr, /delivered on this machine/);
  assert.match((await site.ctl("send", "--trace", "nonsense")).stderr, /"nonsense" is no address/);
});

test("mail for others leaves, together where allowed; what is refused bounces", async () => {
  await using far = await farServer({
    RCPT: (_, line) => (line.includes("nobody") ? "550 nobody here" : "250 ok"),
  });
  await using site = await makeSite({
    control: {
      smtproutes: [`:127.0.0.1:${far.port}`],
      rcpthosts: ["far.test", "mail.example.test"],
      remoteoptions: [":recipients=10"],
    },
  });
  await site.ok("install");
  await site.ok("start");
  await smtp(site.port, smtpMessage("you@mail.example.test", "nobody@far.test", "lost"));
  const [bounce = ""] = await arrived(join(site.home, "alias/you/Maildir/new"), 1);
  assert.match(
    bounce,
    /<nobody@far\.test>:\n127\.0\.0\.1 does not like recipient\.\nRemote host said: 550 nobody here\nGiving up on 127\.0\.0\.1\.\n/,
  );
  const [from, first, ...rest] = smtpMessage("a@b.test", "one@far.test", "both").slice(1);
  await smtp(site.port, ["HELO x", from ?? "", first ?? "", "RCPT TO:<two@far.test>", ...rest]);
  await smtp(site.port, smtpMessage("you@mail.example.test", "you@mail.example.test", "after"));
  await arrived(join(site.home, "alias/you/Maildir/new"), 2);
  await site.ok("stop");
  assert.equal(far.messages.length, 1);
  assert.match(far.messages[0] ?? "", /both/);
});

test("mail of strangers that is passed on leaves with an SRS address, and its bounce finds back", async () => {
  await using far = await farServer();
  await using site = await makeSite({
    aliases: { you: "./you/Maildir/", postmaster: "you", away: "&friend@far.test" },
    routes: { "": `127.0.0.1:${far.port}` },
    remote: { srsDomain: "srs.example.test", destinations: { "": { tls: "none", reuse: 1 } } },
  });
  await site.ok("install");
  assert.match(
    readFileSync(join(site.home, "control/remoteoptions"), "utf8"),
    /^:tls=none reuse=1$/m,
  );
  await site.ok("start");
  await smtp(site.port, smtpMessage("joe@example.com", "away@mail.example.test", "passed on"));
  await until(() => far.messages.length === 1, "the mail has not left");
  const mail = far.commands.find((line) => line.startsWith("MAIL FROM:")) ?? "";
  const srs = /<(SRS0=.*=example\.com=joe@srs\.example\.test)>/.exec(mail)?.[1];
  assert.ok(srs, mail);
  await smtp(site.port, smtpMessage("", srs, "it bounced"));
  await until(() => far.messages.length === 2, "the bounce has not left");
  assert.match(far.commands.join("\n"), /MAIL FROM:<>[\s\S]*RCPT TO:<joe@example\.com>/);
});
