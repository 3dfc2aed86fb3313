/** POP3 on a real installation: who the processes are, whose the login socket is, and who a session runs as. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { getgrnam, getpwnam } from "../../qmail/users/passwd.ts";
import { Client } from "../qmail/pop3d/_dialog.ts";
import { freePort, lacks, qmailctl, run, until } from "./_site.ts";

const PASSWORD = "a right one";
const HOME = "/var/qmail";

/** Adds the service to the mail server in /var/qmail, which `user` has an account on. A part of `t`. */
export async function pop3AsRoot(t: TestContext, user: string): Promise<void> {
  const skip = lacks("chpasswd", "unix_chkpwd", "perl");
  await t.test("POP3", { skip, timeout: 120_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-pop3-root-"));
    chmodSync(directory, 0o755);
    try {
      await pop3(directory, user);
    } finally {
      await qmailctl(["stop"], { cwd: "/" });
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

/** As others write them: checks one login, becomes its user, runs what is behind it. */
function foreignCheckpassword(path: string, user: string): void {
  const script = `#!/usr/bin/perl
open(my $in, "<&=3") or exit 111;
my ($login, $password) = split /\\0/, join("", <$in>);
exit 1 unless $login eq "elsewhere" && $password eq "${PASSWORD}";
my @account = getpwnam("${user}");
$( = $) = "$account[3] $account[3]";
$< = $> = $account[2];
chdir $account[7] or exit 111;
@ENV{qw(USER HOME SHELL)} = @account[0, 7, 8];
exec @ARGV;
`;
  writeFileSync(path, script, { mode: 0o755 });
}

async function pop3(directory: string, user: string): Promise<void> {
  const [smtp, port] = [await freePort(), await freePort()];
  const config = join(directory, "qmailctl.config.ts");
  const checkpassword = join(directory, "checkpassword");
  foreignCheckpassword(checkpassword, user);
  const install = async (more: Record<string, unknown>) => {
    const value = {
      host: "mail.test",
      services: {
        smtp: { listen: `127.0.0.1:${smtp}` },
        pop3: { listen: `127.0.0.1:${port}`, withoutTls: true, ...more },
      },
    };
    writeFileSync(config, `export default ${JSON.stringify(value)};\n`);
    await ok(["install"]);
    await ok(["restart"]);
  };
  const ok = async (args: readonly string[], input = "") => {
    const result = await qmailctl(["--config", config, ...args], { cwd: "/", input });
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  };
  const account = getpwnam(user) ?? assert.fail(user);
  assert.equal((await run("chpasswd", [], { input: `${user}:${PASSWORD}\n` })).code, 0);
  makeMaildir(join(account.home, "Maildir"), account);
  await install({});

  const qmaild = getpwnam("qmaild")?.uid;
  await until(() => uidsOf(/^qmail-popup$/).length > 0, "the service is not there");
  assert.deepEqual(uidsOf(/^qmail-popup$/), [qmaild]);
  assert.deepEqual(uidsOf(/^qmail-popup-login$/), [0]);
  assert.deepEqual(modeOf("run/pop3-login"), [qmaild, getgrnam("nofiles")?.gid, 0o600]);
  assert.deepEqual(modeOf("run/brakes"), [qmaild, getgrnam("nofiles")?.gid, 0o700]);

  await session(port, user, account);
  for (const [name, password] of [
    [user, "a wrong one"],
    ["root", PASSWORD],
  ] as const) {
    assert.equal((await login(port, name, password)).reply, "-ERR authorization failed");
  }
  assert.ok(readdirSync(join(HOME, "run/brakes")).length > 0);

  await install({ checkpassword });
  await until(() => uidsOf(/^qmail-popup$/).length > 0, "the service is not there again");
  assert.equal((await login(port, user, PASSWORD)).reply, "-ERR authorization failed");
  await session(port, "elsewhere", account);
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Logs in, sees who serves it, and reads the one message. */
async function session(port: number, name: string, { uid, gid }: Account): Promise<void> {
  const { client, reply } = await login(port, name, PASSWORD);
  assert.equal(reply, "+OK ");
  const served = processes().filter(({ args, pid }) => {
    return /pop3d\/qmail-pop3d/.test(args) && field(pid, "Uid") === Array(4).fill(uid).join("\t");
  });
  const [pop3d] = served;
  assert.equal(served.length, 1, "one session, as the user");
  assert.equal(field(pop3d?.pid, "Gid"), Array(4).fill(gid).join("\t"));
  assert.match(field(pop3d?.pid, "Groups") ?? "", new RegExp(`^(?:${gid})? *$`));
  client.send("STAT\r\nQUIT\r\n");
  assert.equal(await client.line(), "+OK 1 2");
  assert.equal(await client.line(), "+OK ");
  assert.equal(await client.line(), null);
}

async function login(port: number, name: string, password: string) {
  const client = new Client(connect(port, "127.0.0.1"));
  assert.equal(await client.line(), "+OK ");
  client.send(`USER ${name}\r\n`);
  assert.equal(await client.line(), "+OK ");
  client.send(`PASS ${password}\r\n`);
  return { client, reply: await client.line() };
}

/** A Maildir at `path` that is theirs, with a message. */
export function makeMaildir(path: string, { uid, gid }: Account): void {
  for (const sub of ["", "new", "cur", "tmp"]) {
    mkdirSync(join(path, sub), { recursive: true });
    chmodSync(join(path, sub), 0o700);
    chownSync(join(path, sub), uid, gid);
  }
  const message = join(path, "new/1.test");
  writeFileSync(message, "x\n", { mode: 0o600 });
  chownSync(message, uid, gid);
  utimesSync(message, 1000, 1000);
}

/** Owner, group and mode of a file in /var/qmail. */
function modeOf(path: string): number[] {
  const { uid, gid, mode } = statSync(join(HOME, path));
  return [uid, gid, mode & 0o7777];
}

interface Process {
  readonly pid: number;
  readonly args: string;
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim();
        return [{ pid: Number(pid), args }];
      } catch {
        // It has left.
        return [];
      }
    });
}

/** Users of the processes of /var/qmail with such a title. */
function uidsOf(title: RegExp): (number | undefined)[] {
  return processes()
    .filter(({ args, pid }) => title.test(args) && cwdOf(pid) === HOME)
    .map(({ pid }) => Number(field(pid, "Uid")?.split("\t")[0]));
}

function cwdOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function field(pid: number | undefined, name: string): string | undefined {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1];
}
