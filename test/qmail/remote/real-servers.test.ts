/** Real mail servers as the far side: Exim with TLS and every kind of AUTH, Postfix's smtp-sink with its faults. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { getpwnam } from "../../../qmail/users/passwd.ts";
import { freePort } from "../../site/_site.ts";
import { makeAuthority, withoutOpenssl } from "./_authority.ts";
import { near } from "./_server.ts";

/** Unpacked beside Postfix: Debian lets one mail server own a machine. */
const EXIM = "/opt/exim4/usr/sbin/exim4";
const SINK = "/usr/sbin/smtp-sink";

const withoutExim = (() => {
  if (!existsSync(EXIM)) return `${EXIM} is not there`;
  if (process.getuid?.() !== 0) return "needs root";
  if (!getpwnam("Debian-exim")) return "there is no user Debian-exim";
  return withoutOpenssl;
})();
const withoutSink = existsSync(SINK) ? false : "smtp-sink (postfix) is not installed";

const TEXT = "Subject: to a real server\n\n.dot\n..dots\nlast line without its end";

async function send(control: Readonly<Record<string, string>>): Promise<string> {
  using here = near(control);
  const outcome = await remote(here.config, {
    host: "far.test",
    sender: "me@near.test",
    recipients: ["you@far.test"],
    message: bufferMessage(Buffer.from(TEXT)),
  });
  const { status, text } = deliveryReport(outcome);
  return status + text;
}

/** Starts a server that ends with the test; resolves when its port answers. */
async function serve(t: TestContext, command: readonly string[], port: number): Promise<void> {
  const [program = "", ...args] = command;
  const child: ChildProcess = spawn(program, args, { stdio: "ignore" });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise((resolve) => {
      socket.on("connect", () => resolve(true));
      socket.on("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await sleep(25);
  }
  throw new Error(`${program} does not answer on port ${port}`);
}

const AUTHENTICATORS: Readonly<Record<string, string>> = {
  PLAIN: `driver = plaintext\n  server_prompts = :\n  server_condition = \${if and{{eq{$auth2}{me}}{eq{$auth3}{se:cret}}}}`,
  LOGIN: `driver = plaintext\n  server_prompts = Username:: : Password::\n  server_condition = \${if and{{eq{$auth1}{me}}{eq{$auth2}{se:cret}}}}`,
  "CRAM-MD5": `driver = cram_md5\n  server_secret = \${if eq{$auth1}{me}{se:cret}fail}`,
};

for (const [mechanism, authenticator] of Object.entries(AUTHENTICATORS)) {
  test(`Exim, with a verified certificate and AUTH ${mechanism}`, {
    skip: withoutExim,
  }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-exim-"));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    chmodSync(directory, 0o777);
    using authority = makeAuthority();
    const { cert, key } = authority.issue("mx.far.test");
    writeFileSync(join(directory, "cert.pem"), cert);
    writeFileSync(join(directory, "key.pem"), key, { mode: 0o644 });
    const port = await freePort();
    const config = join(directory, "exim.conf");
    writeFileSync(
      config,
      `exim_path = ${EXIM}\nprimary_hostname = far.test\ndaemon_smtp_ports = ${port}\nlocal_interfaces = 127.0.0.1\n` +
        `spool_directory = ${directory}/spool\nlog_file_path = ${directory}/%slog\nnever_users =\n` +
        `pid_file_path = ${directory}/pid\nhost_lookup =\nrfc1413_query_timeout = 0s\n` +
        `tls_advertise_hosts = *\ntls_certificate = ${directory}/cert.pem\ntls_privatekey = ${directory}/key.pem\n` +
        "acl_smtp_rcpt = rcpt\nacl_smtp_data = accept\nbegin acl\nrcpt:\n  require authenticated = *\n          encrypted = *\n  accept\n" +
        "begin routers\nall:\n  driver = accept\n  transport = file\nbegin transports\nfile:\n  driver = appendfile\n" +
        `  file = ${directory}/inbox\n  user = Debian-exim\n  create_file = anywhere\n` +
        `begin authenticators\none:\n  public_name = ${mechanism}\n  ${authenticator}\n` +
        `  server_set_id = me\n  server_advertise_condition = \${if def:tls_in_cipher}\n`,
    );
    await serve(t, [EXIM, "-C", config, "-bdf", "-q1h"], port);
    const control = {
      smtproutes: `:127.0.0.1:${port}`,
      remoteoptions: `:auth=relay tls=verify name=mx.far.test ca=${authority.file}`,
      remoteauth: "relay:me:se:cret",
    };
    const report = await send(control);
    assert.match(report, /^K127\.0\.0\.1 accepted message\.\nRemote host said: 250 OK/);
    assert.match(report, /TLS: TLSv1\.\d \S+, verified \(route\)\n$/);
    const inbox = join(directory, "inbox");
    // Exim makes the file first and writes into it later.
    const whole = () => existsSync(inbox) && readFileSync(inbox, "latin1").includes("its end\n");
    for (let tries = 0; tries < 400 && !whole(); tries++) await sleep(25);
    assert.match(
      readFileSync(inbox, "latin1"),
      /\nSubject: to a real server\n\n\.dot\n\.\.dots\nlast line without its end\n/,
    );
    const wrong = await send({ ...control, remoteauth: "relay:me:guess" });
    assert.match(
      wrong,
      /^Z.*authentication failed: it was refused\. \(#4\.7\.8\)\nRemote host said: 535/,
    );
  });
}

const DIED = /^ZConnected to 127\.0\.0\.1 but connection died\. \(#4\.4\.2\)\n$/;

/** smtp-sink's options and the report that each leads to. */
const FAULTS: Readonly<Record<string, readonly [readonly string[], RegExp]>> = {
  "that does all well": [[], /^K127\.0\.0\.1 accepted message\.\nRemote host said: 250 2\.0\.0 Ok/],
  "without ESMTP": [["-e"], /^K127/],
  "without PIPELINING and 8BITMIME": [["-p", "-8"], /^K127/],
  "behind a PIX": [["-P"], /^K127/],
  "that is slow": [["-p", "-W", "RCPT:1"], /^K127/],
  "that refuses connections": [["-f", "CONNECT"], /^Z.*greeting failed\.\nRemote host said: 5/],
  "that refuses the sender": [
    ["-f", "MAIL"],
    /^D.*sender was rejected\.\nRemote host said: 500 5\.3\.0/,
  ],
  "that refuses the recipient": [
    ["-f", "RCPT"],
    /^D.*does not like recipient\.\nRemote host said: 500/,
  ],
  "that refuses the recipient for now": [
    ["-r", "RCPT"],
    /^Z.*like recipient\.\nRemote host said: 450/,
  ],
  "that refuses DATA": [["-f", "DATA"], /^D127\.0\.0\.1 failed on DATA command/],
  "that refuses the message": [["-f", "."], /^D127\.0\.0\.1 failed after I sent the message/],
  "that refuses the message for now": [
    ["-r", "."],
    /^Z127\.0\.0\.1 failed after I sent the message/,
  ],
  "that hangs up at MAIL": [["-q", "MAIL"], DIED],
  "that hangs up at DATA": [["-q", "DATA"], DIED],
  "that hangs up at the end": [
    ["-q", "."],
    /^Z.*connection died\. Possible duplicate! \(#4\.4\.2\)\n$/,
  ],
  "that says 421 at RCPT": [["-Q", "RCPT"], /^Z/],
  "that says 421 at the end": [
    ["-Q", "."],
    /^Z127\.0\.0\.1 failed after I sent.*\nRemote host said: 421/,
  ],
};

for (const [what, [options, expected]] of Object.entries(FAULTS)) {
  test(`smtp-sink ${what}`, { skip: withoutSink }, async (t) => {
    const port = await freePort();
    // As root it wants to be told whom to become.
    const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
    await serve(t, [SINK, ...user, ...options, `127.0.0.1:${port}`, "10"], port);
    assert.match(await send({ smtproutes: `:127.0.0.1:${port}` }), expected);
  });
}
