/** Submission on a real installation: who the processes are, who reads the key, and whose passwords count. */

import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseSmtpdLine } from "../../qmail/smtpd/log.ts";
import { getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { makeCertificate, withoutOpenssl } from "../qmail/_certificate.ts";
import { pidsOf } from "./_processes.ts";
import { freePort, lacks, qmailctl, run, until } from "./_site.ts";

const PASSWORD = "a right one";

/** Adds the service to the mail server in /var/qmail, which `user` has an account on. A part of `t`. */
export async function submissionAsRoot(t: TestContext, user: string): Promise<void> {
  const skip = withoutOpenssl || lacks("swaks", "chpasswd", "unix_chkpwd");
  await t.test("submission", { skip, timeout: 120_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-submission-"));
    try {
      await submission(directory, user);
    } finally {
      await qmailctl(["stop"], { cwd: "/" });
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

/** Whose certificate the service on `port` shows. */
async function certificateName(port: number): Promise<string> {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-starttls", "smtp"];
  const { stdout } = await run("openssl", args, { input: "QUIT\r\n" });
  return /^subject=.*CN ?= ?(\S+)$/m.exec(stdout)?.[1] ?? stdout;
}

async function submission(directory: string, user: string): Promise<void> {
  const [smtp, port] = [await freePort(), await freePort()];
  const key = join(directory, "mail.key");
  const config = join(directory, "qmailctl.config.ts");
  const value = {
    host: "mail.test",
    tls: { certificate: "mail.crt", key: "mail.key" },
    services: {
      smtp: { listen: `127.0.0.1:${smtp}` },
      submission: { listen: `127.0.0.1:${port}`, listenTls: [] },
    },
  };
  writeFileSync(config, `export default ${JSON.stringify(value)};\n`);
  const ctl = (args: readonly string[], input = "") =>
    qmailctl(["--config", config, ...args], { cwd: "/", input });
  const ok = async (args: readonly string[], input = "") => {
    const result = await ctl(args, input);
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  };
  makeCertificate(directory, "mail.test", "mail");
  chmodSync(directory, 0o755);
  chmodSync(key, 0o600);
  await ok(["install"]);
  await ctl(["restart"]);
  const log = async () => JSON.parse(await ok(["log", "--json", "--lines", "300"]));
  const says = async (pattern: RegExp) => {
    return (await log()).some(({ text }: { text: string }) => pattern.test(text));
  };

  // Root's alone is good enough. What others may read is told of, with what helps.
  assert.equal(await certificateName(port), "mail.test");
  chownSync(key, 0, getgrnam("nofiles")?.gid ?? 0);
  chmodSync(key, 0o640);
  await ok(["restart"]);
  const open = `the key "${key}" is no secret: the group \\d+ may use it .mode 0640.; root alone needs it: .* chmod 600`;
  await until(() => says(new RegExp(open)), "no word about the key that others may read");
  // As a renewal does it: a key of root's, in use without a restart.
  makeCertificate(directory, "new.mail.test", "mail");
  chownSync(key, 0, 0);
  chmodSync(key, 0o600);
  assert.equal(await certificateName(port), "mail.test");
  for (const pid of pidsOf({ home: "/var/qmail" }, "qmail-smtpd")) process.kill(pid, "SIGHUP");
  const renewed = async () => (await certificateName(port)) === "new.mail.test";
  await until(renewed, "the new certificate is not in use");

  assert.equal((await run("chpasswd", [], { input: `${user}:${PASSWORD}\n` })).code, 0);
  await ok(["user", "add", "site-user"], `${PASSWORD}\n`);
  const swaks = (login: string, password: string) => {
    const server = ["--server", "127.0.0.1", "--port", String(port), "--tls", "--auth", "PLAIN"];
    const auth = ["--auth-user", login, "--auth-password", password];
    const addresses = ["--from", `${login}@mail.test`, "--to", `${user}@mail.test`];
    return run("swaks", [...server, ...auth, ...addresses, "--quit-after", "RCPT"]);
  };
  for (const login of [user, "site-user"]) {
    const right = await swaks(login, PASSWORD);
    assert.equal(right.code, 0, right.stdout + right.stderr);
    const wrong = await swaks(login, "a wrong one");
    assert.match(wrong.stdout, /<~\* 535 /);
  }
  assert.match((await swaks("root", PASSWORD)).stdout, /<~\* 535 /);
  const logins = (await log())
    .map(({ text }: { text: string }) => parseSmtpdLine(text))
    .filter((line: ReturnType<typeof parseSmtpdLine>) => {
      return line?.type === "session" && line.event === "login" && line.fields.verdict === "ok";
    });
  assert.deepEqual(
    logins.map(({ fields }: { fields: { user: string } }) => fields.user),
    [user, "site-user"],
  );

  const { services } = JSON.parse(await ok(["status", "--json"]));
  const all = services.flatMap(({ processes }: { processes: unknown[] }) => processes);
  const uids = (title: string) =>
    all
      .filter((each: { title: string }) => each.title === title)
      .map(({ pid }: { pid: number }) => {
        return readFileSync(`/proc/${pid}/status`, "utf8").match(/^Uid:\s+(.*)$/m)?.[1];
      });
  const qmaild = Array(4).fill(getpwnam("qmaild")?.uid).join("\t");
  assert.deepEqual(uids("qmail-smtpd"), [qmaild, qmaild]);
  assert.deepEqual(uids("qmail-smtpd-auth"), ["0\t0\t0\t0"]);
}
