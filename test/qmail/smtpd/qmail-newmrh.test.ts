import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { readSmtpdControls } from "../../../qmail/smtpd/controls.ts";

test("qmail-newmrh makes the database that rcpthosts is continued by", (t) => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-newmrh-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, "control"));
  const control = (name: string, text: string) => writeFileSync(join(home, "control", name), text);
  control("me", "mail.test\n");
  control("rcpthosts", "mail.test\n");
  const many = Array.from({ length: 1000 }, (_, at) => `d${at}.test\n`).join("");
  control("morercpthosts", `# comment\n\nMore.Test \t\n.wild.test\n${many}last.test`);
  const run = () =>
    execFileSync(process.execPath, [programPath("smtpd/qmail-newmrh")], {
      env: { QMAILHOME: home },
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
    });
  run();
  const { rcpthosts } = readSmtpdControls(home, {});
  for (const domain of [
    "mail.test",
    "more.test",
    "MORE.TEST",
    "a.wild.test",
    "d999.test",
    "last.test",
  ]) {
    assert.equal(rcpthosts.allows(`x@${domain}`), true, domain);
  }
  for (const domain of ["wild.test", "d1000.test", "# comment", "else.test", "x.more.test", ""]) {
    assert.equal(rcpthosts.allows(`x@${domain}`), false, domain);
  }
  rmSync(join(home, "control/morercpthosts"));
  assert.throws(run, /qmail-newmrh: fatal: unable to read control\/morercpthosts: ENOENT/);
  assert.ok(existsSync(join(home, "control/morercpthosts.cdb")));
});
