/** Logins: the user file, the secrets in it, and the program with its interface on descriptor 3. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { parseCredentials } from "../../../qmail/checkpassword/checkpassword.ts";
import { Logins } from "../../../qmail/checkpassword/logins.ts";
import { closeRelays, isRelayOpen, openRelay } from "../../../qmail/checkpassword/relay.ts";
import { makeScramKeys } from "../../../qmail/checkpassword/scram.ts";
import { hashPassword, verifyPassword } from "../../../qmail/checkpassword/secrets.ts";
import {
  changeUserFile,
  type Entry,
  findEntry,
  formatEntry,
  parseEntry,
  readUserFile,
  userFilePath,
} from "../../../qmail/checkpassword/userfile.ts";

const PROGRAM = fileURLToPath(
  new URL("../../../qmail/checkpassword/checkpassword.ts", import.meta.url),
);

const home = mkdtempSync(join(tmpdir(), "qmailctl-checkpassword-"));
after(() => rmSync(home, { recursive: true }));
chmodSync(home, 0o755);
mkdirSync(join(home, "users"));
mkdirSync(join(home, "joe"));

const uid = process.getuid?.() || 65534;
const joe: Entry = {
  user: "joe@example.com",
  hash: await hashPassword("s\xe9same"),
  uid,
  gid: uid,
  home: join(home, "joe"),
  shell: "/bin/sh",
  scram: makeScramKeys("s\xe9same"),
  secret: "s\xe9same",
};
await changeUserFile(home, () => [
  joe,
  { ...joe, user: "root@example.com", uid: 0 },
  { ...joe, user: "plain", secret: null },
]);

/** Records as literals are, with a prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });

test("an entry is read as it was written", () => {
  const word = fc.stringMatching(/^[a-z][!-9;-~]{0,20}$/);
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 32 }).map((all) => Buffer.from(all));
  const scram = plainRecord({
    salt: bytes,
    iterations: fc.nat(),
    storedKey: bytes,
    serverKey: bytes,
  });
  const entry = plainRecord({
    user: word,
    hash: word,
    uid: fc.nat(),
    gid: fc.nat(),
    home: word.map((path) => `/${path}`),
    shell: word,
    scram: fc.option(scram),
    secret: fc.option(
      fc.uint8Array({ minLength: 1 }).map((all) => Buffer.from(all).toString("latin1")),
    ),
  });
  fc.assert(fc.property(entry, (one) => assert.deepEqual(parseEntry(formatEntry(one)), one)));
});

test("a line that is none of ours is kept, and two who change the file at once both count", async () => {
  const other = mkdtempSync(join(tmpdir(), "qmailctl-userfile-"));
  mkdirSync(join(other, "users"));
  writeFileSync(userFilePath(other), "# the users of the site\n");
  const add = (user: string) => changeUserFile(other, (entries) => [...entries, { ...joe, user }]);
  await Promise.all(["a", "b", "c"].map(add));
  assert.match(readFileSync(userFilePath(other), "latin1"), /^# the users of the site\n/);
  assert.deepEqual(
    readUserFile(other)
      .map(({ user }) => user)
      .sort(),
    ["a", "b", "c"],
  );
  assert.equal(statSync(userFilePath(other)).mode & 0o777, 0o600);
  assert.equal(findEntry(other, "B")?.user, "b");
  rmSync(other, { recursive: true });
});

test("a hash knows its password and no other, and a hash of another kind is an error", async () => {
  assert.ok(await verifyPassword("s\xe9same", joe.hash));
  assert.ok(!(await verifyPassword("sesame", joe.hash)));
  assert.notEqual(await hashPassword("s\xe9same"), joe.hash);
  await assert.rejects(verifyPassword("x", "$6$salt$hash"));
  await assert.rejects(verifyPassword("x", "$scrypt$ln=40,r=8,p=1$c2FsdA$aGFzaA"));
});

test("Logins: right, wrong, unknown, root, empty", async () => {
  const logins = new Logins(home);
  const status = async (login: string, password: string, timestamp = "") =>
    (await logins.check({ login, password, timestamp })).status;
  assert.equal(await status("joe@example.com", "s\xe9same"), "ok");
  assert.equal(await status("JOE@example.com", "s\xe9same"), "ok");
  assert.equal(await status("joe@example.com", "sesame"), "refused");
  assert.equal(await status("nobody@elsewhere", "s\xe9same"), "refused");
  assert.equal(await status("root@example.com", "s\xe9same"), "refused");
  assert.equal(await status("joe@example.com", ""), "refused");
  assert.equal(await status("joe@example.com", `s\xe9same\0`), "refused");
  assert.equal(await status("joe@example.com", "x".repeat(10_000)), "refused");
});

test("APOP and CRAM-MD5 for those whose password is kept, and for no others", async () => {
  const logins = new Logins(home);
  const challenge = "<1.2@example.com>";
  const secret = Buffer.from("s\xe9same", "latin1");
  const apop = createHash("md5").update(challenge).update(secret).digest("hex");
  const cram = createHmac("md5", secret).update(challenge).digest("hex");
  const status = async (login: string, password: string, timestamp: string) =>
    (await logins.check({ login, password, timestamp })).status;
  assert.equal(await status("joe@example.com", apop, challenge), "ok");
  assert.equal(await status("joe@example.com", cram, challenge), "refused");
  assert.equal(await status("joe@example.com", challenge, cram), "ok");
  assert.equal(await status("joe@example.com", challenge, apop), "refused");
  assert.equal(await status("plain", apop, challenge), "refused");
  assert.equal(logins.checkCram("joe@example.com", { challenge, response: cram }), "ok");
  assert.equal(logins.checkCram("plain", { challenge, response: cram }), "refused");
  assert.deepEqual(logins.scramKeys("joe@example.com"), joe.scram);
});

test("parseCredentials() wants three words with their ends", () => {
  assert.deepEqual(parseCredentials("a\0b\0c\0"), { login: "a", password: "b", timestamp: "c" });
  assert.deepEqual(parseCredentials("a\0b\0\0more"), { login: "a", password: "b", timestamp: "" });
  for (const input of ["", "a", "a\0b", "a\0b\0", "a\0b\0c"])
    assert.equal(parseCredentials(input), null);
});

async function run(input: string | null, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ["pipe", "pipe", "inherit", input === null ? "ignore" : "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: home, ...env },
  });
  const out = text(child.stdout as Readable);
  const pipe = child.stdio[3] as Writable | null;
  pipe?.on("error", () => {});
  pipe?.end(Buffer.from(input ?? "", "latin1"));
  child.stdin?.end("from the client\n");
  const [code] = await once(child, "exit");
  return { code, out: await out };
}

test("checkpassword becomes the program, as its user, in his home, with the connection", {
  skip: process.getuid?.() === 0 ? false : "needs root to become somebody",
}, async () => {
  const show =
    "id -u; pwd; echo $USER $HOME $SHELL $KEPT; cat; ls /proc/self/fd/3 2>/dev/null | grep -c pipe";
  const { code, out } = await run(
    "joe@example.com\0s\xe9same\0<stamp>\0",
    ["sh", "-c", `${show}; exit 7`],
    { KEPT: "kept" },
  );
  assert.equal(code, 7);
  assert.deepEqual(out.split("\n"), [
    String(uid),
    join(home, "joe"),
    `joe@example.com ${join(home, "joe")} /bin/sh kept`,
    "from the client",
    "0",
    "",
  ]);
});

test("checkpassword says by its code why not", async () => {
  assert.deepEqual(await run("joe@example.com\0wrong\0\0", ["echo", "in"]), { code: 1, out: "" });
  assert.deepEqual(await run(`joe@example.com\0${"x".repeat(600)}\0\0`, ["echo", "in"]), {
    code: 1,
    out: "",
  });
  assert.deepEqual(await run("joe@example.com\0half", ["echo", "in"]), { code: 2, out: "" });
  assert.deepEqual(await run("joe@example.com\0s\xe9same\0\0", []), { code: 2, out: "" });
});

test("a system user's password is checked by the system", async (t) => {
  if (process.getuid?.() !== 0 || !existsSync("/usr/sbin/unix_chkpwd"))
    return t.skip("needs root and unix_chkpwd");
  if (!/^qctlpop:/m.test(readFileSync("/etc/passwd", "utf8")))
    return t.skip("needs the user qctlpop: useradd -m qctlpop; echo qctlpop:open | chpasswd");
  const { status } = await new Logins(home).check({
    login: "qctlpop",
    password: "open",
    timestamp: "",
  });
  assert.equal(status, "ok");
  assert.equal(
    (await new Logins(home).check({ login: "qctlpop", password: "no", timestamp: "" })).status,
    "refused",
  );
});

test("POP-before-SMTP: a login opens relaying for its address, for so long", () => {
  const directory = join(home, "relay");
  mkdirSync(directory);
  const open = (ip: string) => isRelayOpen(directory, ip, { seconds: 600, now: 1000 });
  openRelay(directory, "192.0.2.1", 900);
  openRelay(directory, "2001:DB8::1", 100);
  openRelay(directory, "../users/password", 900);
  assert.deepEqual(["192.0.2.1", "192.0.2.2", "2001:db8::1", "../relay"].map(open), [
    true,
    false,
    false,
    false,
  ]);
  utimesSync(join(directory, "192.0.2.1"), 1, 1);
  closeRelays(directory, { seconds: 600, now: 1000 });
  assert.deepEqual(
    ["192.0.2.1", "2001:db8::1"].map((name) => existsSync(join(directory, name))),
    [false, false],
  );
});

test("POP-before-SMTP: after the clock has gone back a login does not count for as long as it went", () => {
  const directory = join(home, "relay-back");
  mkdirSync(directory);
  const ip = "192.0.2.1";
  const openAt = (now: number) => isRelayOpen(directory, ip, { seconds: 600, now });
  openRelay(directory, ip, 100_000);
  assert.equal(openAt(100_599), true);
  assert.equal(openAt(99_500), true);
  assert.equal(openAt(99_399), false);
  assert.equal(openAt(1000), false);
  openRelay(directory, ip, 1000);
  assert.equal(openAt(1001), true);
  openRelay(directory, ip, 100_000);
  closeRelays(directory, { seconds: 600, now: 1000 });
  assert.equal(existsSync(join(directory, ip)), false);
});
