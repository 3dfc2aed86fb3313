/** The submission service as real clients see it: swaks and nodemailer; TLS both ways and every kind of AUTH. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createTransport } from "nodemailer";
import { makeScramKeys } from "../../qmail/checkpassword/scram.ts";
import { hashPassword } from "../../qmail/checkpassword/secrets.ts";
import { changeUserFile } from "../../qmail/checkpassword/userfile.ts";
import { parseSmtpdLine } from "../../qmail/smtpd/log.ts";
import { makeCertificate, withoutOpenssl } from "../qmail/_certificate.ts";
import { arrived, freePort, makeSite, run, type Site } from "./_site.ts";

const PASSWORD = "correct horse";

interface SubmissionSite extends Site {
  readonly startTls: number;
  readonly tls: number;
}

/** A running site with the login "you", who may log in by every mechanism. */
async function submissionSite(): Promise<SubmissionSite> {
  const [startTls, tls] = [await freePort(), await freePort()];
  const site = await makeSite({
    tls: { certificate: "./mail.crt", key: "./mail.key" },
    services: {
      smtp: { enabled: false },
      submission: {
        listen: `127.0.0.1:${startTls}`,
        listenTls: `127.0.0.1:${tls}`,
        mechanisms: ["CRAM-MD5", "SCRAM-SHA-256"],
        senders: { you: ["sales@else.test"] },
      },
    },
  });
  makeCertificate(site.directory, "mail.example.test", "mail");
  await site.ok("install");
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const account = { user: "you", uid: uid || 65534, gid, home: site.home, shell: "" };
  const hash = await hashPassword(PASSWORD);
  const entry = { ...account, hash, scram: makeScramKeys(PASSWORD), secret: PASSWORD };
  await changeUserFile(site.home, () => [entry]);
  await site.ok("start");
  return Object.assign(site, { startTls, tls });
}

const TO = "you@mail.example.test";

/** What swaks does with `args`, and what was said. */
async function swaks(port: number, args: readonly string[]) {
  const server = ["--server", "127.0.0.1", "--port", String(port)];
  const login = ["--auth-user", "you", "--auth-password", PASSWORD];
  return await run("swaks", [...server, "--from", TO, "--to", TO, ...login, ...args]);
}

const withoutSwaks = (await run("swaks", ["--version"]).catch(() => null)) === null;
const skip = withoutOpenssl || (withoutSwaks && "swaks is not installed");

test("swaks logs in by every mechanism, over STARTTLS and over TLS from the start", {
  skip,
  timeout: 120_000,
}, async () => {
  await using site = await submissionSite();
  for (const mechanism of ["PLAIN", "LOGIN", "CRAM-MD5"]) {
    const late = await swaks(site.startTls, ["--tls", "--auth", mechanism]);
    assert.equal(late.code, 0, late.stdout);
    assert.match(late.stdout, /~> AUTH (PLAIN|LOGIN|CRAM-MD5)[\s\S]*<~ {2}235 ok, go ahead/);
    const soon = await swaks(site.tls, ["--tls-on-connect", "--auth", mechanism]);
    assert.equal(soon.code, 0, soon.stdout);
  }
  const texts = await arrived(join(site.home, "alias/you/Maildir/new"), 6);
  for (const text of texts) {
    assert.match(text, /\(you@127\.0\.0\.1\)\n {2}by mail\.example\.test with ESMTPSA \(TLSv1\.3 /);
  }

  const wrong = await swaks(site.startTls, ["--tls", "--auth", "PLAIN", "--auth-password", "no"]);
  assert.match(wrong.stdout, /<~\* 535 authorization failed \(#5\.7\.0\)/);
  const plain = await swaks(site.startTls, ["--auth", "PLAIN"]);
  assert.notEqual(plain.code, 0);
  assert.doesNotMatch(plain.stdout, /AUTH/);
  const stranger = await swaks(site.startTls, [
    "--tls",
    "--auth",
    "PLAIN",
    "--from",
    "ceo@else.test",
  ]);
  assert.match(stranger.stdout, /<~\* 553 sorry, that sender address does not belong to you/);
  const granted = await swaks(site.startTls, [
    "--tls",
    "--auth",
    "PLAIN",
    "--from",
    "sales@else.test",
  ]);
  assert.equal(granted.code, 0, granted.stdout);
  const nobody = await swaks(site.startTls, ["--tls", "--auth-user", "", "--quit-after", "MAIL"]);
  assert.notEqual(nobody.code, 0);

  // The doors' lines and those of deliveries are about the same message when their qp is the same.
  const log = JSON.parse(await site.ok("log", "--json", "--lines", "500")) as { text: string }[];
  const lines = log.map(({ text }) => parseSmtpdLine(text)).filter((line) => line !== null);
  const accepted = lines.filter((line) => line.type === "session" && line.event === "accepted");
  assert.equal(accepted.length, 7);
  for (const line of accepted) {
    assert.ok(line.type === "session");
    assert.equal(line.fields.user, "you");
    assert.match(line.fields.tls ?? "", /^TLSv1/);
    assert.ok(
      log.some(
        ({ text }) => text.startsWith("info msg ") && text.includes(` qp ${line.fields.qp} `),
      ),
    );
  }
});

test("nodemailer logs in, and its message is completed", {
  skip: withoutOpenssl,
  timeout: 60_000,
}, async () => {
  await using site = await submissionSite();
  const auth = { user: "you", pass: PASSWORD };
  const tls = {
    ca: readFileSync(join(site.directory, "mail.crt")),
    servername: "mail.example.test",
  };
  for (const [port, secure] of [
    [site.startTls, false],
    [site.tls, true],
  ] as const) {
    const options = { host: "127.0.0.1", port, secure, requireTLS: true, auth, tls };
    const transport = createTransport(options);
    await transport.sendMail({ from: TO, to: TO, subject: "hé", text: "..\n.\nfrom nodemailer" });
    await transport.sendMail({ envelope: { from: TO, to: TO }, raw: `From: ${TO}\n\nraw` });
    transport.close();
  }
  const texts = await arrived(join(site.home, "alias/you/Maildir/new"), 4);
  const raw = texts.filter((text) => text.endsWith("\n\nraw\n"));
  assert.equal(raw.length, 2);
  for (const text of raw)
    assert.match(text, /^Date: .*\nMessage-ID: <\S+@mail\.example\.test>\n\nraw$/m);
  assert.equal(new Set(raw.map((text) => /^Message-ID: .*/m.exec(text)?.[0])).size, 2);
  assert.equal(texts.filter((text) => /\n\.\.\n\.\nfrom nodemailer\n$/.test(text)).length, 2);
});

const withoutMsmtp = (await run("msmtp", ["--version"]).catch(() => null)) === null;

test("msmtp (GNU SASL) logs in by SCRAM-SHA-256, and only with the right password", {
  skip: withoutOpenssl || (withoutMsmtp && "msmtp is not installed"),
  timeout: 60_000,
}, async () => {
  await using site = await submissionSite();
  const msmtp = (password: string, tls: readonly string[]) => {
    const words = password.split(" ").join("\\ ");
    const script = `printf 'Subject: scram\\n\\nhi\\n' | msmtp "$@"`;
    return run("sh", [
      ...["-c", script, "msmtp", "--file=/dev/null", "--host=127.0.0.1", "--debug"],
      ...["--auth=scram-sha-256", "--user=you", `--passwordeval=echo ${words}`],
      ...["--tls=on", `--tls-trust-file=${join(site.directory, "mail.crt")}`, ...tls],
      ...["--tls-host-override=mail.example.test", `--from=${TO}`, TO],
    ]);
  };
  for (const tls of [
    [`--port=${site.startTls}`, "--tls-starttls=on"],
    [`--port=${site.tls}`, "--tls-starttls=off"],
  ]) {
    const right = await msmtp(PASSWORD, tls);
    assert.equal(right.code, 0, right.stderr);
    assert.match(right.stdout, /--> AUTH SCRAM-SHA-256[\s\S]*<-- 235 ok, go ahead \(#2\.0\.0\)/);
    const wrong = await msmtp("wrong horse", tls);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stdout, /<-- 535 authorization failed \(#5\.7\.0\)/);
  }
  const texts = await arrived(join(site.home, "alias/you/Maildir/new"), 2);
  for (const text of texts) assert.match(text, /Subject: scram\n\nhi\n$/);
});
