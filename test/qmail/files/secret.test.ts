/** Keys and passwords that others can read are told of before they are used. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Config } from "../../../commands/config.ts";
import { warnings } from "../../../commands/install/warnings.ts";
import { exposure, exposureBesideRoot } from "../../../qmail/files/secret.ts";
import { Certificates } from "../../../qmail/net/tls.ts";
import { makeCertificate, withoutOpenssl } from "../_certificate.ts";

const USERFILE = new URL("../../../qmail/checkpassword/userfile.ts", import.meta.url).href;

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-secret-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("a secret is its owner's to write, and its group's to read at the most", () => {
  for (const mode of [0o600, 0o400, 0o440, 0o640, 0o700]) assert.equal(exposure({ mode }), null);
  for (const mode of [0o644, 0o604, 0o602, 0o601]) {
    assert.match(exposure({ mode }) ?? "", /everybody/);
  }
  for (const mode of [0o660, 0o620]) assert.match(exposure({ mode }) ?? "", /others may write/);
});

test("what root alone needs is root's alone", () => {
  const of = (mode: number, uid = 0, gid = 0) => exposureBesideRoot({ mode, uid, gid });
  for (const mode of [0o600, 0o400, 0o640]) assert.equal(of(mode), null);
  assert.match(of(0o644) ?? "", /everybody/);
  assert.match(of(0o600, 1000) ?? "", /belongs to uid 1000/);
  assert.match(of(0o640, 0, 115) ?? "", /the group 115 may use it \(mode 0640\)/);
  assert.equal(of(0o600, 0, 115), null);
});

test("a TLS key that everybody can read is told of when it is read", {
  skip: withoutOpenssl,
}, (t) => {
  const files = makeCertificate(temporary(t), "mail.test");
  for (const [mode, count] of [
    [0o600, 0],
    [0o640, 0],
    [0o644, 1],
  ] as const) {
    chmodSync(files.key, mode);
    const said: string[] = [];
    const user = { name: "the user qmaild", group: "nofiles" };
    new Certificates({ user, files: [files], warn: (text) => said.push(text) });
    assert.equal(said.length, count);
    if (count > 0) assert.match(said[0] ?? "", /the key ".*mail.test.key" is no secret: everybody/);
  }
});

test("a user file that everybody can read is told of once", (t) => {
  const home = temporary(t);
  mkdirSync(join(home, "users"));
  const path = join(home, "users/password");
  writeFileSync(path, "joe:x:1:1::/home/joe:\n");
  const script = `const { readUserFile } = await import(${JSON.stringify(USERFILE)}); readUserFile(${JSON.stringify(home)}); readUserFile(${JSON.stringify(home)});`;
  for (const [mode, count] of [
    [0o600, 0],
    [0o644, 1],
  ] as const) {
    chmodSync(path, mode);
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.equal(stderr.match(/is no secret/g)?.length ?? 0, count, stderr);
  }
});

test("install tells of open keys, and of programs that run as root and that others can change", (t) => {
  const directory = temporary(t);
  const key = join(directory, "mail.key");
  writeFileSync(key, "");
  chmodSync(key, 0o644);
  const checker = join(directory, "checker");
  writeFileSync(checker, "");
  chmodSync(checker, 0o757);
  const config = {
    sandbox: false,
    tls: [
      { certificate: key, key },
      { certificate: key, key: join(directory, "none") },
    ],
    submission: { command: [checker, "x"] },
    pop3: { checkpassword: ["checkpassword"], certificates: [{ certificate: key, key }] },
  } as unknown as Config;
  const found = warnings(config).filter((line) => line.includes(directory));
  assert.equal(found.length, 3, found.join("\n"));
  assert.match(found[0] ?? "", /mail.key": everybody may use it \(mode 0644\); .*chmod 600/);
  assert.match(found[1] ?? "", /none": it is not there/);
  assert.match(found[2] ?? "", /checker" runs as root, and everybody may write/);
  assert.equal(warnings({ ...config, sandbox: true }).length, 2);
});
