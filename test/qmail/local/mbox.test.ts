/** An mbox and other programs that write to it: whichever lock they take, no message is lost. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Home } from "./_home.ts";

const EACH = 15;

/** Rewrites the whole mbox, as a mail reader does: who comes between loses. `$1` is the mbox, `$2` the text. */
const REWRITE =
  'cp "$1" "$1.copy" && printf "From other\\n\\n%s\\n\\n" "$2" >>"$1.copy" && cat "$1.copy" >"$1"';

/** Other writers: the program that they need, and what they do. */
const WRITERS: readonly (readonly [string, string, string])[] = [
  [
    "procmail's lockfile",
    "lockfile",
    `lockfile -1 -r 300 "$1.lock" && ${REWRITE}; rm -f "$1.lock"`,
  ],
  [
    "liblockfile's dotlockfile",
    "dotlockfile",
    `dotlockfile -l -r 100 "$1.lock" && ${REWRITE}; dotlockfile -u "$1.lock"`,
  ],
  ["flock", "flock", `exec 9>>"$1"; flock 9; ${REWRITE}`],
  ["procmail", "procmail", 'printf "Subject: x\\n\\n%s\\n" "$2" | procmail DEFAULT="$1" /dev/null'],
  [
    "maildrop",
    "maildrop",
    'printf "to \\"$1\\"\\n" >"$1.filter"; chmod 600 "$1.filter"; printf "Subject: x\\n\\n%s\\n" "$2" | maildrop "$1.filter"',
  ],
];

for (const [name, program, script] of WRITERS) {
  const missing = spawnSync("which", [program]).status !== 0;
  const skip = missing && `${program} is not installed`;
  test(`${EACH} deliveries beside ${EACH} by ${name}`, { skip, timeout: 120_000 }, async () => {
    using home = new Home();
    home.write("box", "", 0o600);
    const loop = `i=0; while [ $i -lt ${EACH} ]; do i=$((i+1)); set -- "$1" "other $i end"; ${script}; done`;
    const other = spawn("sh", ["-c", loop, "sh", join(home.path, "box")], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, HOME: home.path },
    });
    const ended = once(other, "close");
    for (let count = 1; count <= EACH; count++) {
      const text = `Subject: x\n\nours ${count} end\n`;
      assert.deepEqual(await home.deliver({ aliasempty: "./box", text }), {
        status: "K",
        text: "did 1+0+0\n",
      });
    }
    assert.deepEqual(await ended, [0, null]);
    const box = readFileSync(join(home.path, "box"), "latin1");
    for (let count = 1; count <= EACH; count++) {
      assert.ok(box.includes(`\nours ${count} end\n\n`), `ours ${count} is lost`);
      assert.ok(box.includes(`\nother ${count} end\n\n`), `other ${count} is lost`);
    }
    assert.ok(!existsSync(join(home.path, "box.lock")));
  });
}

test("deliveries at once are all written, whole, and in one go for those that wait", async () => {
  using home = new Home();
  const texts = Array.from(
    { length: 60 },
    (_, at) => `Subject: ${at}\n\n${"x\n".repeat(at * 100)}`,
  );
  const reports = await Promise.all(
    texts.map((text) => home.deliver({ aliasempty: "./box", text })),
  );
  assert.ok(reports.every(({ status }) => status === "K"));
  const box = readFileSync(join(home.path, "box"), "latin1");
  for (const text of texts) assert.ok(box.includes(`@h.test\n${text}\n`));
  assert.equal(box.match(/^From /gm)?.length, 60);
  assert.deepEqual(readdirSync(home.path), ["box"]);
});

test("a lock file that nobody can be behind any more is removed", async () => {
  using home = new Home();
  writeFileSync(join(home.path, "box.lock"), "0\n");
  const long = Date.now() / 1000 - 400;
  utimesSync(join(home.path, "box.lock"), long, long);
  assert.equal((await home.deliver({ aliasempty: "./box" })).status, "K");
  assert.deepEqual(readdirSync(home.path), ["box"]);
});

test("an mbox that is replaced while we wait for its lock is opened anew", async () => {
  using home = new Home();
  home.write("box", "old\n");
  const holder = spawn(
    "flock",
    [
      join(home.path, "box"),
      "sh",
      "-c",
      'echo held; read go; mv "$0.new" "$0"',
      join(home.path, "box"),
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  await once(holder.stdout, "data");
  home.write("box.new", "new\n");
  const delivery = home.deliver({ aliasempty: "./box" });
  // Its lock file is there: it has opened the mbox and waits for the other lock.
  while (!existsSync(join(home.path, "box.lock"))) await new Promise(setImmediate);
  holder.stdin.end("go\n");
  assert.equal((await delivery).status, "K");
  assert.match(readFileSync(join(home.path, "box"), "latin1"), /^new\n\nFrom a@b /);
});
