/** qmail-remote as qmail-rspawn has it: one process, orders over a link. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { programPath } from "../../../qmail/programs.ts";
import type { Report } from "../../../qmail/spawn/report.ts";
import { WorkerProcess } from "../../../qmail/spawn/worker-process.ts";
import { freePort } from "../../site/_site.ts";
import { farServer, near } from "./_server.ts";

const CLOCK = fileURLToPath(new URL("./_clock.ts", import.meta.url));
const DAY_MS = 86_400_000;
const INLINE = Buffer.from("Subject: x\n\ny\n");
const MESSAGE = { size: INLINE.length, inline: INLINE, fd: -1 };

/** The process in an installation with these control files. */
function running(control: Readonly<Record<string, string>>) {
  const here = near({ ...control, dnsservers: "127.0.0.1:1" });
  const clockFile = join(here.home, "clock");
  writeFileSync(clockFile, "0");
  // A worker is started in the home.
  const back = process.cwd();
  process.chdir(here.home);
  const it = new WorkerProcess(
    {
      program: programPath("remote/qmail-remote"),
      args: ["--worker"],
      execArgv: ["--import", CLOCK],
      env: { ...process.env, QMAILHOME: here.home, CLOCK_FILE: clockFile },
      gone: () => {},
    },
    { status: "Z", text: "crashed\n" },
  );
  process.chdir(back);
  let lastId = 0;
  return {
    it,
    setClock: (ms: number) => writeFileSync(clockFile, String(ms)),
    /** As an editor leaves it that writes another file and renames it. */
    control: (name: string, text: string) => {
      writeFileSync(join(here.home, "new"), text, { mode: 0o600 });
      renameSync(join(here.home, "new"), join(here.home, "control", name));
    },
    deliver: (messid = String(++lastId)) =>
      new Promise<Report>((done) => {
        const fields = [messid, "far.test", "me@near.test", "you@far.test", "1"];
        it.start(fields, () => MESSAGE, { done });
      }),
    async [Symbol.asyncDispose]() {
      it.end();
      await it.exited;
      here[Symbol.dispose]();
    },
  };
}

test("after the clock has gone back a destination that is shut is tried again when somebody wants it", async () => {
  const port = await freePort();
  await using w = running({ smtproutes: `:127.0.0.1:${port}` });
  const isTried = async () => !(await w.deliver()).text.includes("it was not tried again");
  assert.equal(await isTried(), true);
  assert.equal(await isTried(), false);
  w.setClock(-2 * DAY_MS);
  for (const host of ["", "far.test"]) {
    w.it.flush(host);
    assert.equal(await isTried(), true, `flush "${host}"`);
    assert.equal(await isTried(), false);
  }
  await using far = await farServer({}, port);
  w.it.flush("");
  assert.equal((await w.deliver()).status, "K");
  assert.equal(far.messages.length, 1);
});

test("after the clock has gone back control files are read as soon as before", async () => {
  await using far = await farServer();
  const nobody = await freePort();
  await using w = running({ smtproutes: `:127.0.0.1:${nobody}` });
  assert.equal((await w.deliver()).status, "Z");
  w.setClock(-2 * DAY_MS);
  w.control("smtproutes", `:127.0.0.1:${far.port}\n`);
  // They are looked at once a second.
  let report = await w.deliver();
  for (let tries = 1; report.status !== "K" && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    report = await w.deliver();
  }
  assert.equal(report.status, "K");
});

test("a control file that is wrong for a while puts messages off, and then they go", async () => {
  await using far = await farServer();
  const routes = { smtproutes: `:127.0.0.1:${far.port}` };
  await using w = running(routes);
  w.control("remoteoptions", ":recipients=10 nonsense\n");
  const wrong = "Unable to read control files. (#4.3.0)\n";
  assert.deepEqual(await w.deliver("1"), { status: "Z", text: wrong });
  w.control("remoteoptions", ":recipients=10\n");
  for (const messid of ["1", "2"]) {
    const reports = await Promise.all([w.deliver(messid), w.deliver(messid)]);
    assert.deepEqual(
      reports.map(({ status }) => status),
      ["K", "K"],
    );
  }
  assert.equal(far.messages.length, 2);
});

/** The classic door in an installation with these control files; null takes one away. */
function once(control: Readonly<Record<string, string | null>>, home?: string) {
  using here = near({});
  for (const [name, text] of Object.entries(control)) {
    const path = join(here.home, "control", name);
    if (text === null) rmSync(path);
    else writeFileSync(path, text);
  }
  const args = [programPath("remote/qmail-remote"), "far.test", "me@near.test", "you@far.test"];
  const env = { ...process.env, QMAILHOME: home ?? here.home };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    env,
    input: INLINE,
    encoding: "latin1",
  });
  return { status, stdout, stderr };
}

for (const [what, control, why] of [
  ["an option that there is not", { remoteoptions: ":nonsense\n" }, /"nonsense" in ":nonsense"/],
  ["a name server that is none", { dnsservers: "somewhere\n" }, /control\/dnsservers: "somewhere"/],
  ["a port that is none", { smtproutes: ":127.0.0.1:99999\n" }, /99999 is no port/],
  ["no name of ours", { me: null }, /control\/helohost is missing, control\/me is missing/],
  ["an empty name of ours", { me: "\n", helohost: "" }, /helohost is empty, control\/me is empty/],
] as const) {
  test(`the program puts mail off, and says why: ${what}`, () => {
    const { status, stdout, stderr } = once(control);
    assert.equal(stdout, "ZUnable to read control files. (#4.3.0)\n\0");
    assert.match(stderr, /^warning: qmail-remote: [^\n]+\n$/);
    assert.match(stderr, why);
    assert.equal(status, 0);
  });
}

test("the program puts mail off where there is no installation", () => {
  const { status, stdout } = once({}, "/nonexistent/qmail");
  assert.deepEqual([status, stdout], [0, "ZUnable to read control files. (#4.3.0)\n\0"]);
});

test("an empty control/helohost is as none", () => {
  using here = near({ helohost: "", me: "near.test" });
  assert.equal(here.config.helohost, "near.test");
  using other = near({ helohost: "helo.test", me: "" });
  assert.equal(other.config.helohost, "helo.test");
});
