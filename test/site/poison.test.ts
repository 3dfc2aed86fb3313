/** A message that kills qmail-remote is tried again by the schedule, and the others go on. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { farServer } from "../qmail/remote/_server.ts";
import { makeSite, until } from "./_site.ts";

/** The process of `home` that has all connections to other hosts. */
function remoteWorker(home: string): number | undefined {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const name = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", "");
        return name === "qmail-remote" && readlinkSync(`/proc/${pid}/cwd`) === home;
      } catch {
        return false;
      }
    });
}

test("a message that kills qmail-remote does not do so again and again", async () => {
  await using far = await farServer({
    RCPT: (_, line) => {
      if (!line.includes("poison")) return "250 ok";
      const pid = remoteWorker(site.home);
      if (pid !== undefined) process.kill(pid, "SIGKILL");
      return undefined;
    },
  });
  await using site = await makeSite({ routes: { "": `127.0.0.1:${far.port}` } });
  await site.ok("install");
  await site.ok("start");
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  const send = (to: string) => site.ok("send", "--from", "me@near.test", "--to", to, "--body", "x");
  const count = (pattern: RegExp) => (log().match(pattern) ?? []).length;
  await send("poison@far.test");
  await until(() => /deferral: qmail-remote_crashed/.test(log()), "the crash");
  for (let sent = 1; sent <= 5; sent++) {
    await send(`you${sent}@far.test`);
    await until(() => count(/success: .*accepted_message/g) === sent, `message ${sent}`);
  }
  assert.equal(count(/to remote poison@far\.test/g), 1);

  await site.ok("stop");
  const waiting = readdirSync(join(site.home, "queue/remote"), {
    recursive: true,
    encoding: "utf8",
  })
    .filter((name) => /\/\d+$/.test(name))
    .map((name) => statSync(join(site.home, "queue/remote", name)).mtimeMs);
  assert.equal(waiting.length, 1);
  // The schedule has it at 400 seconds after its birth.
  assert.ok((waiting[0] as number) > Date.now() + 200_000, "the next try is minutes away");
});
