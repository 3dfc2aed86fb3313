/** Every process of a real installation is as docs/reference/processes.md says, down to a user's program. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { getpwnam } from "../../qmail/users/passwd.ts";
import { makeCertificate, withoutOpenssl } from "../qmail/_certificate.ts";
import { Client } from "../qmail/pop3d/_dialog.ts";
import { makeMaildir } from "./_pop3-as-root.ts";
import { describedProcesses, deviations, processesOf } from "./_process-table.ts";
import { freePort, LAUNCHER, lacks, qmailctl, run, smtp, smtpMessage, until } from "./_site.ts";

const HOME = "/var/qmail";
const PASSWORD = "a right one";

/** Adds all services to the mail server in /var/qmail, which `user` has an account on. A part of `t`. */
export async function processesAsRoot(t: TestContext, user: string): Promise<void> {
  const skip = withoutOpenssl || lacks("chpasswd", "unix_chkpwd", "bash", "setpriv");
  await t.test("each process has what the page says, and no more", { skip }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-processes-"));
    chmodSync(directory, 0o755);
    try {
      await processes(directory, user);
    } finally {
      await qmailctl(["stop"], { cwd: "/" });
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

/** What a user's program finds: it stays until told, so that it can be looked at. */
const PROGRAM = `|echo $$ >pid.new; mv pid.new pid; cat >/dev/null; while [ ! -e go ]; do sleep 0.1; done`;

async function processes(directory: string, user: string): Promise<void> {
  const ports = await Promise.all(Array.from({ length: 5 }, freePort));
  const [smtpPort = 0, submission, pop3, qmtp, qmqp] = ports;
  const at = (port = 0) => `127.0.0.1:${port}`;
  const config = join(directory, "qmailctl.config.ts");
  const value = {
    host: "mail.test",
    logGroup: "adm",
    tls: { certificate: "mail.crt", key: "mail.key" },
    routes: { "far.test": "127.0.0.1:1" },
    services: {
      smtp: { listen: at(smtpPort), relayFrom: ["127.0.0.1"] },
      submission: { listen: at(submission), listenTls: [] },
      pop3: { listen: at(pop3), listenTls: [], withoutTls: true },
      qmtp: { listen: at(qmtp) },
      qmqp: { listen: at(qmqp), relayFrom: ["127.0.0.1"] },
    },
  };
  makeCertificate(directory, "mail.test", "mail");
  writeFileSync(config, `export default ${JSON.stringify(value)};\n`);
  const ok = async (command: string, args: readonly string[], input = "") => {
    const env = { ...process.env, SECRET: "of the shell" };
    const result = await run(command, args, { cwd: "/", input, env });
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}${result.stdout}`);
  };
  const ctl = (...args: string[]) =>
    ok("bash", ["-c", OPEN, "sh", config, process.execPath, LAUNCHER, "--config", config, ...args]);
  await ok("chpasswd", [], `${user}:${PASSWORD}\n`);
  await ctl("install");
  await qmailctl(["--config", config, "stop"], { cwd: "/" });
  await ctl("start");

  const account = getpwnam(user) ?? assert.fail(user);
  const file = (name: string) => join(account.home, name);
  writeFileSync(file(".qmail-look"), `${PROGRAM}\n`);
  makeMaildir(file("Maildir"), account);
  chownSync(file(".qmail-look"), account.uid, account.gid);
  const client = new Client(connect(pop3 ?? 0, "127.0.0.1"));
  await client.line();
  try {
    for (const to of [`${user}-look@mail.test`, "somebody@far.test"]) {
      const answers = await smtp(smtpPort, smtpMessage("a@b.test", to, "x"));
      assert.match(answers[5] ?? "", /^250/);
    }
    client.send(`USER ${user}\r\n`);
    assert.equal(await client.line(), "+OK ");
    client.send(`PASS ${PASSWORD}\r\n`);
    assert.equal(await client.line(), "+OK ");
    await until(() => existsSync(file("pid")), "the user's program does not run");
    const described = describedProcesses();
    const titles = () => new Set(processesOf(HOME).map(({ title }) => title));
    const seen = (name: string) => name === A_PROGRAM || titles().has(name);
    await until(() => [...described.keys()].every(seen), `not all are there: ${[...titles()]}`);
    const wrong: string[] = [];
    const own = Number(readFileSync(file("pid"), "latin1"));
    for (const { pid, title } of processesOf(HOME)) {
      const name = pid === own ? A_PROGRAM : title;
      // What a program has started is its own affair; logger and what looks up names leave again.
      if (pid !== own && PASSING.has(title)) continue;
      const row = described.get(name);
      const lines = row ? deviations(pid, row, { home: HOME, user }) : ["not on the page"];
      wrong.push(...lines.map((line) => `${name} (${pid}): ${line}`));
    }
    assert.deepEqual(wrong, []);
    await borders(user);
  } finally {
    client.destroy();
    writeFileSync(file("go"), "");
  }
}

const A_PROGRAM = "a program of a user";
const PASSING: ReadonlySet<string> = new Set(["sleep", "getent", "flock", "cat"]);

/** A shell that has more open than it should. */
const OPEN = 'file=$1; shift; exec 20<"$file" 77<"$file" 251<"$file"; exec "$@"';

/** What the users of the mail system cannot do to one another. */
async function borders(user: string): Promise<void> {
  const as = (name: string, group: string, ...command: string[]) =>
    run("setpriv", [`--reuid=${name}`, `--regid=${group}`, "--clear-groups", ...command], {
      cwd: HOME,
    });
  const script = `require("node:net").connect("run/net/qmail-queue")
    .on("connect", () => process.exit(0)).on("error", ({ code }) => { console.log(code); process.exit(1); });`;
  const door = (name: string, group: string) => as(name, group, process.execPath, "-e", script);
  assert.deepEqual(await door("qmaild", "nofiles"), { code: 0, stdout: "", stderr: "" });
  for (const [name, group] of [
    ["alias", "nofiles"],
    ["qmaill", "nofiles"],
    ["qmailp", "nofiles"],
    ["qmailr", "nofiles"],
    ["qmailr", "qmail"],
    [user, user],
  ] as const) {
    assert.equal((await door(name, group)).stdout, "EACCES\n", `${name} at the door`);
  }
  const closed: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
    // The daemons read no log, not even their own.
    "log/qmail-smtpd/current": [
      ["qmaild", "nofiles"],
      ["alias", "nofiles"],
      ["qmailr", "nofiles"],
    ],
    "run/log.qmail-smtpd": [["qmaild", "nofiles"]],
    // As qmail-remote is.
    "queue/mess/0": [["qmailr", "nofiles"]],
    "queue/lock/tcpto": [["qmailr", "nofiles"]],
  };
  for (const [path, who] of Object.entries(closed)) {
    for (const [name, group] of who) {
      const { code } = await as(name, group, "test", "-r", path);
      assert.equal(code, 1, `${name} reads ${path}`);
    }
  }
  assert.equal((await as("nobody", "adm", "test", "-r", "log/qmail-smtpd/current")).code, 0);
}
