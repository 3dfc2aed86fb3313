/**
 * Local delivery by kind of user, beside Postfix: to one system user, to 1,000 virtual addresses of one user,
 * to 200 system users, and through `|true`; the two systems in turn in one run, every message synced by both.
 *
 *   npm run build && node bench/local-users.ts [--rounds 3] [--dir DIRECTORY]
 *
 * Needs root, Debian's package postfix, and a machine where qmail's users do not exist: it makes them and some
 * hundred more in /etc/passwd and takes them away again. Run it in a container. All traffic stays on 127.0.0.1.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { QMAIL_GROUPS, QMAIL_USERS } from "../qmail/ids.ts";
import { SPLIT } from "../qmail/queue/fmtqfn.ts";
import { getpwnam } from "../qmail/users/passwd.ts";
import { makePostfix, postfixVersion } from "./_postfix.ts";

const SESSIONS = 20;
const SIZE = 4096;
const CONCURRENCY = 20;
const FIRST_UID = 40_000;
const USERS = 200;
const ADDRESSES = 1000;
/** A round that takes longer is given up. */
const ROUND_MS = 180_000;
const POLL_MS = 20;

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    dir: { type: "string", default: tmpdir() },
  },
});

/** One measurement. smtp-source numbers recipients from 1 when they are to differ. */
interface Case {
  readonly name: string;
  readonly recipient: string;
  readonly numbered: boolean;
  /** Messages a call of smtp-source, and calls a round. */
  readonly messages: number;
  readonly calls: number;
}

const CASES: readonly Case[] = [
  { name: "one user", recipient: "1u@bench.test", numbered: false, messages: 2000, calls: 1 },
  {
    name: "1,000 virtual addresses",
    recipient: "u@virt.test",
    numbered: true,
    messages: ADDRESSES,
    calls: 2,
  },
  { name: "200 users", recipient: "u@bench.test", numbered: true, messages: USERS, calls: 10 },
  { name: "|true", recipient: "pipe@bench.test", numbered: false, messages: 500, calls: 1 },
];

interface System {
  readonly name: string;
  readonly port: number;
  /** Queue directories that are empty when everything is delivered, in the order messages walk them. */
  readonly queue: readonly string[];
  start(): void;
  stop(): void;
}

/** The users: 1u to 200u, one with a program, one with the virtual addresses. */
function makeUsers(directory: string): void {
  const names = Array.from({ length: USERS }, (_, at) => `${at + 1}u`);
  const lines: string[] = [];
  for (const [at, name] of [...names, "pipe", "virt"].entries()) {
    const uid = FIRST_UID + at;
    const home = join(directory, "homes", name);
    mkdirSync(home, { recursive: true });
    lines.push(`${name}:x:${uid}:${uid}:qmailctl bench:${home}:/bin/sh\n`);
    makeMaildir(join(home, "Maildir"));
    if (name === "pipe") {
      writeFileSync(join(home, ".qmail"), "|true\n");
      writeFileSync(join(home, ".forward"), "|true\n");
    }
    if (name === "virt") makeVirtual(home);
    own(home, uid);
  }
  appendFileSync("/etc/passwd", lines.join(""));
}

function makeVirtual(home: string): void {
  for (let at = 1; at <= ADDRESSES; at++) {
    makeMaildir(join(home, "box", `${at}u`));
    writeFileSync(join(home, `.qmail-${at}u`), `./box/${at}u/\n`);
  }
}

function makeMaildir(path: string): void {
  for (const sub of ["tmp", "new", "cur"]) mkdirSync(join(path, sub), { recursive: true });
}

function own(path: string, uid: number): void {
  for (const entry of readdirSync(path, { recursive: true, encoding: "utf8" })) {
    chownSync(join(path, entry), uid, uid);
  }
  chownSync(path, uid, uid);
}

function removeUsers(): void {
  const text = readFileSync("/etc/passwd", "utf8");
  const ours = /^.*:qmailctl bench:.*\n/gm;
  writeFileSync("/etc/passwd", text.replace(ours, ""));
  for (const name of QMAIL_USERS) execFileSync("userdel", [name], { stdio: "ignore" });
  for (const name of QMAIL_GROUPS) {
    try {
      execFileSync("groupdel", [name], { stdio: "ignore" });
    } catch {
      // Went with its last user.
    }
  }
}

function makeQmailctl(directory: string, port: number): System {
  const home = join(directory, "qmail");
  const config = join(directory, "qmailctl.config.js");
  const value = {
    home,
    host: "bench.test",
    defaultDelivery: "./Maildir/",
    services: { smtp: { listen: `127.0.0.1:${port}` } },
    concurrency: { local: CONCURRENCY },
    rcpthosts: ["bench.test", "virt.test"],
    control: { virtualdomains: ["virt.test:virt"] },
  };
  writeFileSync(config, `export default ${JSON.stringify(value)};\n`);
  const script = `const { main } = await import(${JSON.stringify(MAIN)}); process.exitCode = await main(process.argv.slice(1));`;
  const qmailctl = (verb: string) =>
    execFileSync(
      process.execPath,
      ["--input-type=module", "-e", script, "--", "--config", config, verb],
      {
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
  qmailctl("install");
  const queue = join(home, "queue");
  const local = Array.from({ length: SPLIT }, (_, at) => join(queue, "local", String(at)));
  return {
    name: "qmailctl",
    port,
    queue: [join(queue, "todo"), ...local],
    start: () => void qmailctl("start"),
    stop: () => void qmailctl("stop"),
  };
}

function makeOther(directory: string, port: number): System {
  const virt = getpwnam("virt");
  const maps = join(directory, "virtual");
  const addresses = Array.from({ length: ADDRESSES }, (_, at) => `${at + 1}u`);
  writeFileSync(maps, addresses.map((name) => `${name}@virt.test box/${name}/\n`).join(""));
  const { start, stop } = makePostfix(directory, port, CONCURRENCY, {
    mydestination: "bench.test",
    virtual_mailbox_domains: "virt.test",
    virtual_mailbox_base: virt?.home ?? "",
    virtual_mailbox_maps: `hash:${maps}`,
    virtual_uid_maps: `static:${virt?.uid}`,
    virtual_gid_maps: `static:${virt?.gid}`,
    home_mailbox: "Maildir/",
    alias_maps: "",
    local_destination_concurrency_limit: CONCURRENCY,
  });
  execFileSync("postmap", ["-c", join(directory, "etc"), `hash:${maps}`]);
  const queue = ["incoming", "active"].map((name) => join(directory, "spool", name));
  return { name: "postfix", port, queue, start, stop };
}

/** Resolves when nothing is left in the queue. */
async function emptied({ name, queue }: System): Promise<void> {
  for (let waited = 0; waited < ROUND_MS; waited += POLL_MS) {
    if (queue.every((directory) => readdirSync(directory).length === 0)) return;
    await sleep(POLL_MS);
  }
  throw new Error(`${name}: the queue does not become empty`);
}

/** Messages a second, from the first connection to the last delivery. */
async function round(
  system: System,
  { recipient, numbered, messages, calls }: Case,
): Promise<number> {
  const started = performance.now();
  const options = { s: SESSIONS, l: SIZE, m: messages, f: "sender@example.test", t: recipient };
  const args = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  for (let call = 0; call < calls; call++) {
    const all = [...args, ...(numbered ? ["-N"] : []), `127.0.0.1:${system.port}`];
    const source = spawn("smtp-source", all, { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = (await once(source, "exit")) as [number];
    if (code !== 0) throw new Error(`smtp-source left with ${code}`);
  }
  await emptied(system);
  return ((messages * calls) / (performance.now() - started)) * 1000;
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const low = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
  return (low + (sorted[Math.floor(sorted.length / 2)] ?? 0)) / 2;
}

/** Messages in all Maildirs. */
function stored(directory: string): number {
  const homes = join(directory, "homes");
  const boxes = [
    ...readdirSync(homes).map((name) => join(homes, name, "Maildir")),
    ...readdirSync(join(homes, "virt/box")).map((name) => join(homes, "virt/box", name)),
  ];
  return boxes.reduce((sum, box) => sum + readdirSync(join(box, "new")).length, 0);
}

async function measure(ours: System, theirs: System, directory: string): Promise<void> {
  let expected = stored(directory);
  for (const each of CASES) {
    // The first round warms up both: workers, caches, daemons.
    const pairs: [number, number][] = [];
    for (let at = 0; at <= Number(values.rounds); at++) {
      pairs.push([await round(ours, each), await round(theirs, each)]);
      if (each.name !== "|true") expected += 2 * each.messages * each.calls;
      const actual = stored(directory);
      if (actual !== expected) throw new Error(`${each.name}: ${actual} stored, not ${expected}`);
    }
    const rest = pairs.slice(1);
    const [us, them] = [median(rest.map(([a]) => a)), median(rest.map(([, b]) => b))];
    const ratio = median(rest.map(([a, b]) => a / b));
    const cells = [us.toFixed(0), them.toFixed(0), ratio.toFixed(2)].map((cell) =>
      cell.padStart(10),
    );
    process.stdout.write(`${each.name.padEnd(26)}${cells.join("")}\n`);
  }
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root, in a container");
  if (getpwnam("qmailq")) throw new Error("qmail's users exist: not on this machine");
  if (!existsSync(MAIN)) throw new Error("run npm run build first");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  execFileSync("chmod", ["755", directory]);
  for (const name of ["postfix", "qmailctl"]) mkdirSync(join(directory, name));
  const started: System[] = [];
  try {
    makeUsers(directory);
    const ours = makeQmailctl(join(directory, "qmailctl"), 2525);
    const theirs = makeOther(join(directory, "postfix"), 2526);
    for (const system of [ours, theirs]) {
      started.push(system);
      system.start();
    }
    process.stdout.write(
      `${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.versions.node}, Postfix ${postfixVersion()}; ` +
        `${SIZE} bytes, ${SESSIONS} sessions, ${CONCURRENCY} deliveries at once, ${values.rounds} rounds\n` +
        `${"messages a second".padEnd(26)}${["qmailctl", "postfix", "ratio"].map((cell) => cell.padStart(10)).join("")}\n`,
    );
    await measure(ours, theirs, directory);
  } finally {
    for (const system of started) system.stop();
    removeUsers();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`local-users: ${error.message}\n`);
  process.exitCode = 111;
});
