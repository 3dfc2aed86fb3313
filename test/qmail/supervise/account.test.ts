/** What the kernel tells of who holds which file, with processes that do nothing else. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { account } from "../../../qmail/supervise/account.ts";
import { bootId, lives, processInfo, signalProcess } from "../../../qmail/supervise/procfs.ts";
import { lacks, run } from "../../site/_site.ts";

class Home {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-account-"));
  readonly #children: ChildProcess[] = [];
  readonly #fifos: number[] = [];

  constructor(...services: readonly string[]) {
    mkdirSync(join(this.path, "run"));
    writeFileSync(join(this.path, "run/supervise.lock"), "");
    for (const name of services) {
      const path = join(this.path, `run/log.${name}`);
      spawnSync("mkfifo", [path]);
      // A supervisor could read it.
      this.#fifos.push(openSync(path, "r+"));
    }
  }

  /** A group of its own with `script` in a shell; its standard error and output are `file` of the home, opened so. */
  async spawn(file: string, script: string, flags: "r" | "r+" | "w" | "a" = "a"): Promise<number> {
    const fd = openSync(join(this.path, "run", file), flags);
    const child = spawn("/bin/sh", ["-c", `echo; ${script}`], {
      detached: true,
      stdio: ["ignore", "pipe", "ignore", fd],
    });
    closeSync(fd);
    this.#children.push(child);
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    return child.pid as number;
  }

  [Symbol.dispose](): void {
    for (const { pid } of this.#children) {
      try {
        process.kill(-(pid as number), "SIGKILL");
      } catch {
        // Gone.
      }
    }
    for (const fd of this.#fifos) closeSync(fd);
    rmSync(this.path, { recursive: true, force: true });
  }
}

function pids(processes: readonly { pid: number }[]): number[] {
  return processes.map(({ pid }) => pid).sort((a, b) => a - b);
}

test("account(): the lock, what holds its file, and services by their FIFOs, doors first", async () => {
  using home = new Home("qmail-send", "a-door", "z-door");
  const supervisor = await home.spawn("supervise.lock", "flock -n 3; exec sleep 60");
  const helper = await home.spawn("supervise.lock", "exec sleep 60", "r");
  const send = await home.spawn("log.qmail-send", "exec sleep 60");
  const door = await home.spawn("log.a-door", "exec sleep 60");
  await home.spawn("log.z-door", "exec sleep 60");
  const found = account(home.path);
  assert.equal(found.supervisor?.pid, supervisor);
  assert.deepEqual(pids(found.helpers), [helper]);
  assert.deepEqual(
    found.services.map(({ service }) => service),
    ["z-door", "a-door", "qmail-send"],
  );
  assert.deepEqual(pids(found.services[1]?.processes ?? []), [door]);
  assert.deepEqual(pids(found.services[2]?.processes ?? []), [send]);
});

test("account(): a group belongs to it with those who hold nothing, and without its first process", async () => {
  using home = new Home("qmail-send");
  // The first leaves; one holds the FIFO, another closes it.
  const leader = await home.spawn("log.qmail-send", "sleep 60 & sleep 61 3>&- & :");
  await waitFor(() => processInfo(leader) === null);
  const [service] = account(home.path).services;
  assert.equal(service?.processes.length, 2);
  assert.ok(service?.processes.every(({ group }) => group === leader));
});

test("account(): who has opened a FIFO himself is not ours", async () => {
  using home = new Home("qmail-send");
  for (const flags of ["r", "r+", "w"] as const) {
    await home.spawn("log.qmail-send", "exec sleep 60", flags);
  }
  assert.deepEqual(account(home.path), { supervisor: null, helpers: [], services: [] });
});

test("account(): whom we may not look into is known by the note, if that is true", {
  skip: process.getuid?.() === 0 ? lacks("setpriv") : "needs root to be somebody who may not",
}, async () => {
  using home = new Home("qmail-send");
  const other = await home.spawn(
    "log.qmail-send",
    "exec setpriv --reuid=65534 --regid=65534 --clear-groups sleep 60",
  );
  await waitFor(() => processInfo(other)?.uid === 65534);
  const startTicks = processInfo(other)?.startTicks as number;
  const module = new URL("../../../qmail/supervise/account.ts", import.meta.url).href;
  const script = `import { account } from ${JSON.stringify(module)};
console.log(JSON.stringify(account(process.argv[1]).services.map(({ service, processes }) => [service, processes.map(({ pid }) => pid)])));`;
  const look = async (groups: unknown, boot = bootId()) => {
    writeFileSync(join(home.path, "run/supervise.state"), JSON.stringify({ boot, groups }));
    const args = ["--bounding-set=-sys_ptrace", process.execPath, "--input-type=module"];
    const { stdout, stderr } = await run("setpriv", [...args, "-e", script, home.path]);
    assert.equal(stderr, "");
    return JSON.parse(stdout);
  };
  const noted = { name: "qmail-send", pid: other, startTicks };
  assert.deepEqual(await look([]), []);
  assert.deepEqual(await look([noted]), [["qmail-send", [other]]]);
  assert.deepEqual(await look([{ ...noted, startTicks: startTicks - 1 }]), []);
  assert.deepEqual(await look([noted], "an earlier one"), []);
  assert.deepEqual(await look("nonsense"), []);
});

test("signalProcess() hits that very process only", async () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const info = processInfo(child.pid as number);
  assert.ok(info);
  const later = { ...info, startTicks: info.startTicks - 1 };
  assert.equal(signalProcess(later, "SIGKILL"), false);
  assert.equal(lives(later), false);
  assert.ok(lives(info));
  assert.equal(signalProcess(info, "SIGKILL"), true);
  await once(child, "exit");
  assert.equal(signalProcess(info, "SIGKILL"), false);
});

async function waitFor(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 1000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
