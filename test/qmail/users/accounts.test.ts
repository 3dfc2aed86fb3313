import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Accounts, getent } from "../../../qmail/users/accounts.ts";
import { namesOtherSources, type Passwd } from "../../../qmail/users/passwd.ts";

function passwd(name: string): Passwd {
  return { name, uid: 1000, gid: 1000, home: `/home/${name}`, shell: "" };
}

/** Accounts with "local" in the file and "ldap" elsewhere, and what was asked of elsewhere. */
function accounts() {
  const asked: (readonly string[])[] = [];
  const state = { now: 0, down: false };
  const made = new Accounts({
    local: (name) => (name === "local" ? passwd(name) : null),
    hasMore: () => true,
    now: () => state.now,
    more: async (names) => {
      asked.push(names);
      if (state.down) throw new Error("server is down");
      return new Map(names.filter((name) => name === "ldap").map((name) => [name, passwd(name)]));
    },
  });
  return { accounts: made, asked, state };
}

test("users of the file need no asking, the others are asked for once a minute", async () => {
  const { accounts: all, asked, state } = accounts();
  assert.equal((await all.find("local"))?.name, "local");
  assert.equal((await all.find("ldap"))?.name, "ldap");
  assert.equal((await all.find("ldap"))?.name, "ldap");
  assert.equal(await all.find("nobody"), null);
  assert.equal(await all.find("nobody"), null);
  assert.deepEqual(asked, [["ldap"], ["nobody"]]);
  state.now += 60_000;
  await all.find("ldap");
  assert.equal(asked.length, 3);
});

test("names asked for together share a process, and no more than four run at once", async () => {
  const { accounts: all, asked } = accounts();
  const names = Array.from({ length: 500 }, (_, at) => `user${at % 250}`);
  await Promise.all(names.map((name) => all.find(name)));
  assert.deepEqual(asked.flat(), [...new Set(names)]);
  assert.equal(asked.length, 4);
});

test("trouble is an error for all who asked, and is not kept", async () => {
  const { accounts: all, state } = accounts();
  state.down = true;
  await assert.rejects(Promise.all([all.find("ldap"), all.find("nobody")]), /server is down/);
  state.down = false;
  assert.equal((await all.find("ldap"))?.name, "ldap");
});

test("what could be an option or a number to getent is never asked for", async () => {
  const { accounts: all, asked } = accounts();
  for (const name of ["0", "33", "-s", "--help", "a b", "a\nb", "a:b", "", "é"]) {
    assert.equal(await all.find(name), null, name);
  }
  assert.deepEqual(asked, []);
});

/** A getent that says and does what `script` does, in the PATH while `action` runs. */
async function withGetent<T>(script: string, action: (log: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-getent-"));
  const path = process.env.PATH;
  try {
    const log = join(directory, "log");
    writeFileSync(join(directory, "getent"), `#!/bin/sh\necho "$@" >>${log}\n${script}\n`);
    chmodSync(join(directory, "getent"), 0o755);
    process.env.PATH = `${directory}:${path}`;
    return await action(log);
  } finally {
    process.env.PATH = path;
    rmSync(directory, { recursive: true });
  }
}

test("getent: some known, none known, trouble", async () => {
  await withGetent("echo joe:x:5:6:Joe,,:/home/joe:/bin/sh; exit 2", async (log) => {
    const users = await getent(["joe", "jane"]);
    assert.deepEqual([...users.keys()], ["joe"]);
    assert.deepEqual(users.get("joe"), {
      name: "joe",
      uid: 5,
      gid: 6,
      home: "/home/joe",
      shell: "/bin/sh",
    });
    assert.equal(readFileSync(log, "utf8"), "passwd joe jane\n");
  });
  await withGetent("exit 2", async () => assert.equal((await getent(["joe"])).size, 0));
  await withGetent("exit 1", () => assert.rejects(getent(["joe"]), /cannot look up users/));
  await withGetent("kill -9 $$", () => assert.rejects(getent(["joe"]), /cannot look up users/));
});

test("which databases have more than their file", () => {
  const conf =
    "# passwd: ldap\npasswd: files # sss\ngroup:\tfiles [NOTFOUND=return x=y] \nshadow: files sss\n";
  assert.equal(namesOtherSources(conf, "passwd"), false);
  assert.equal(namesOtherSources(conf, "group"), false);
  assert.equal(namesOtherSources(conf, "shadow"), true);
  assert.equal(namesOtherSources("passwd: files systemd\n", "passwd"), true);
  assert.equal(namesOtherSources("", "passwd"), false);
});
