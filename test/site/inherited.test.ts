/** What the shell that starts the mail server has open does not live on in it. */

import assert from "node:assert/strict";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { LAUNCHER, makeSite, run } from "./_site.ts";

test("a descriptor of the starting shell is in no daemon", async () => {
  await using site = await makeSite();
  await site.ok("install");
  const file = join(site.directory, "the shell's own");
  writeFileSync(file, "");
  // One behind a gap: those Node itself does not pass on.
  const script = 'file=$1; shift; exec 20>"$file"; exec 77>"$file"; exec "$@"';
  const start = [process.execPath, LAUNCHER, "--config", site.config, "start"];
  const { code, stderr } = await run("bash", ["-c", script, "sh", file, ...start]);
  assert.equal(code, 0, stderr);
  const { supervisor, services } = JSON.parse(await site.ok("status", "--json"));
  const pids = [supervisor, ...services.flatMap(pidsOf)];
  assert.ok(pids.length > 5);
  for (const pid of pids) {
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlink(`/proc/${pid}/fd/${fd}`));
    assert.equal(open.includes(file), false, `process ${pid}`);
  }
});

function pidsOf({ processes }: { processes: readonly { pid: number }[] }): number[] {
  return processes.map(({ pid }) => pid);
}

function readlink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return "";
  }
}
