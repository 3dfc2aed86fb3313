/** The launchers in $QMAIL/bin. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { shellQuote, template } from "../../../commands/install/templates.ts";

/** Limits as softlimit and administrators set them, in kB. */
const LIMITS: readonly (readonly [title: string, limits: string])[] = [
  ["without limits", ":"],
  ["softlimit -m 3000000", "ulimit -S -v 2929; ulimit -S -d 2929"],
  ["softlimit -m 30000000", "ulimit -S -v 29296; ulimit -S -d 29296"],
  ["softlimit below a hard limit", "ulimit -v 20000000; ulimit -S -v 2929"],
];

for (const [title, limits] of LIMITS) {
  test(`a program starts ${title}`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-launcher-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const program = join(directory, "program.js");
    writeFileSync(program, "console.log(process.env.QMAILHOME, ...process.argv.slice(2));\n");
    const launcher = join(directory, "launcher");
    const text = template("program", {
      HOME: shellQuote("/a home"),
      NODE: shellQuote(process.execPath),
      PROGRAM: shellQuote(program),
    });
    writeFileSync(launcher, text, { mode: 0o755 });
    const args = ["-c", `${limits}; exec "$@"`, "sh", launcher, "x y", "$z"];
    const { stdout, stderr, status } = spawnSync("/bin/sh", args, { encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "/a home x y $z\n", ""]);
  });
}
