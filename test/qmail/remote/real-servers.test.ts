/** Real mail servers as the far side: Exim with TLS and every kind of AUTH. */

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

const withoutExim = (() => {
  if (!existsSync(EXIM)) return `${EXIM} is not there`;
  if (process.getuid?.() !== 0) return "needs root";
  if (!getpwnam("Debian-exim")) return "there is no user Debian-exim";
  return withoutOpenssl;
})();

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
