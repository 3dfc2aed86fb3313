/** A small real installation in a directory of its own, in sandbox mode, and its daemons. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { HIER } from "../../qmail/hier.ts";
import { LOCAL_SOCKET, NETWORK_SOCKET } from "../../qmail/queue/protocol.ts";
import { groupMembers } from "../../qmail/supervise/procfs.ts";
import { HOST } from "./letters.ts";
import type { Plan } from "./plan.ts";

const TRIGGER_FLAGS = constants.O_WRONLY | constants.O_NONBLOCK;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TSC = join(ROOT, "node_modules/.bin/tsc");

/** Older than what cleanup takes for garbage (36 hours). */
const AGED_SECONDS = 40 * 3600;
/** Cleanup has finished after this time. */
const CLEANUP_MS = 5000;
/** A system that is not idle after this long never will be. */
const IDLE_SECONDS = 30;

/** The mail system compiled, as it is published: its processes start in a third of the time. */
export interface Build extends Disposable {
  readonly directory: string;
}

/** Compiles the mail system and the preload. */
export function compile(): Build {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-torture-build-"));
  const config = {
    extends: join(ROOT, "tsconfig.build.json"),
    compilerOptions: {
      outDir: directory,
      rootDir: ROOT,
      declaration: false,
      typeRoots: [join(ROOT, "node_modules/@types")],
    },
    include: [join(ROOT, "qmail"), join(ROOT, "test/torture/preload.ts")],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  execFileSync(TSC, ["-p", directory], { stdio: ["ignore", "inherit", "inherit"] });
  return {
    directory,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Files of the site in which messages are, relative to the home. */
const MESSAGES = ["drop", "todo", "info", "local", "remote", "bounce", "intd", "mess", "pid"].map(
  (name) => (name === "drop" ? name : `queue/${name}`),
);
/** Files that are gone when all work is done. */
const WORK = /^(queue\/(todo|info|local|remote|bounce)\/|drop\/.*\.msg$)/;

export class Site {
  readonly home: string;
  readonly #build: Build;
  #daemons: ChildProcess | null = null;
  #gone: Promise<unknown> = Promise.resolve();
  /** What the daemons wrote: their log, and complaints. */
  log = "";

  /** A new site in a directory below `parent`. */
  constructor(build: Build, parent: string = tmpdir()) {
    this.#build = build;
    this.home = mkdtempSync(join(parent, "qmailctl-torture-"));
    this.#make();
  }

  #make(): void {
    for (const { path, type, size } of HIER) {
      const at = join(this.home, path);
      if (type === "directory") mkdirSync(at, { recursive: true });
      else if (type === "file") writeFileSync(at, Buffer.alloc(size ?? 0));
      else execFileSync("mkfifo", [at]);
    }
    const files: Record<string, string> = {
      ".sandbox": "",
      "control/me": `${HOST}\n`,
      "control/locals": `${HOST}\n`,
      "control/concurrencylocal": "100\n",
      "alias/.qmail-box-default": "./Maildir/\n",
      "alias/.qmail-back-default": "./Maildir/\n",
      "alias/.qmail-postmaster": "./Maildir/\n",
      "alias/.qmail-later-default": "./Maildir/\n",
      "alias/.qmail-mbox-default": "./Mailbox\n",
      "alias/.qmail-forward-default": `&box-forwarded@${HOST}\n`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.home, name), text);
    this.newMailboxes();
  }

  /** Empties the mailboxes. */
  newMailboxes(): void {
    rmSync(join(this.home, "alias/Maildir"), { recursive: true, force: true });
    rmSync(join(this.home, "alias/Mailbox"), { force: true });
    for (const name of ["tmp", "new", "cur"]) {
      mkdirSync(join(this.home, "alias/Maildir", name), { recursive: true });
    }
  }

  /** Deliveries to later-* are deferred, or work again. */
  defer(yes: boolean): void {
    // A .qmail file that is writable for all is not followed: temporary trouble.
    chmodSync(join(this.home, "alias/.qmail-later-default"), yes ? 0o666 : 0o644);
  }

  env(plan: Omit<Plan, "site"> | null): NodeJS.ProcessEnv {
    const env = {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      QMAILHOME: this.home,
      UV_THREADPOOL_SIZE: "16",
    };
    return plan ? { ...env, TORTURE_PLAN: JSON.stringify({ ...plan, site: this.home }) } : env;
  }

  /** Arguments for Node that run the program `file` below qmail/, watched when there is a plan. */
  program(file: string, plan: Omit<Plan, "site"> | null): string[] {
    const preload = `file://${this.#build.directory}/test/torture/preload.js`;
    return [...(plan ? ["--import", preload] : []), `${this.#build.directory}/qmail/${file}.js`];
  }

  /** Starts qmail-start, which starts the others. Resolves when the doors are open, or all is dead again. */
  async start(plan: Omit<Plan, "site"> | null = null): Promise<void> {
    for (const path of [NETWORK_SOCKET, LOCAL_SOCKET])
      rmSync(join(this.home, path), { force: true });
    this.log = "";
    const child = spawn(process.execPath, [...this.program("qmail-start", plan), "./Mailbox"], {
      env: this.env(plan),
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: all of it can be killed at once.
      detached: true,
    });
    const note = (text: Buffer) => {
      this.log += text;
    };
    child.stdout.on("data", note);
    child.stderr.on("data", note);
    this.#daemons = child;
    const group = new Set([child.pid as number]);
    // The pipes close when the last of the daemons has gone; workers have others.
    this.#gone = once(child, "close").then(async () => {
      while (groupMembers(group).length > 0) await sleep(4);
      this.#daemons = null;
    });
    while (this.running && !existsSync(join(this.home, LOCAL_SOCKET))) await sleep(4);
  }

  get running(): boolean {
    return this.#daemons !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.#daemons?.kill(name);
  }

  /** Resolves when no process is left. */
  async gone(): Promise<void> {
    await this.#gone;
  }

  /** An orderly stop. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    await this.#gone;
  }

  /** Kills all processes at once. */
  async kill(): Promise<void> {
    const pid = this.#daemons?.pid;
    if (pid !== undefined) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // They have just died by themselves.
      }
    }
    await this.#gone;
  }

  /**
   * Resolves with true when no message is left; false when that never comes, or the daemons are gone.
   * What was deferred is tried again at once.
   */
  async idle(seconds = IDLE_SECONDS): Promise<boolean> {
    const end = performance.now() + seconds * 1000;
    let urge = performance.now() + 100;
    while (this.running && performance.now() < end) {
      // Directories are read one after another: a message may pass on behind the reader, but not thrice.
      if ([1, 2, 3].every(() => this.work().length === 0)) return true;
      await sleep(3);
      if (performance.now() < urge) continue;
      this.urge();
      urge = performance.now() + 200;
    }
    return false;
  }

  /** Resolves with the files of unfinished messages when there are none, or when nothing happens any more. */
  async settled(quietMs: number): Promise<string[]> {
    let known = "";
    let since = performance.now();
    for (;;) {
      const work = this.work();
      if (!this.running || (work.length === 0 && this.work().length === 0)) return work;
      const now = performance.now();
      if (work.join() !== known) since = now;
      known = work.join();
      if (now - since > quietMs) return work;
      this.urge();
      await sleep(100);
    }
  }

  /** Has everything tried now: what is scheduled, and what is in todo. */
  urge(): void {
    this.signal("SIGALRM");
    try {
      const trigger = openSync(join(this.home, "queue/lock/trigger"), TRIGGER_FLAGS);
      writeSync(trigger, "\0");
      closeSync(trigger);
    } catch {
      // Nobody listens yet.
    }
  }

  /** Every file of messages, relative to the home. */
  files(): string[] {
    return MESSAGES.flatMap((directory) =>
      readdirSync(join(this.home, directory), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(this.home.length + 1)),
    );
  }

  /** Files of messages that are not finished. */
  work(): string[] {
    return this.files().filter((path) => WORK.test(path));
  }

  /** Makes every file of messages as old as after a long night without the daemons. */
  age(): void {
    const then = Date.now() / 1000 - AGED_SECONDS;
    for (const path of this.files()) {
      // The times of these are births and retries.
      if (!/^queue\/(info|local|remote)\//.test(path))
        utimesSync(join(this.home, path), then, then);
    }
    // A lock file of a process that was killed holds others up until it is stale.
    for (const name of readdirSync(join(this.home, "alias"))) {
      if (name.includes(".lock")) utimesSync(join(this.home, "alias", name), then, then);
    }
  }

  /** What stays for ever: files that were old at the start and are not removed soon. */
  async staying(patienceMs = CLEANUP_MS): Promise<string[]> {
    for (let count = 0; count < patienceMs && this.running && this.#aged().length > 0; count += 5) {
      await sleep(5);
    }
    return this.#aged();
  }

  #aged(): string[] {
    const limit = Date.now() - (AGED_SECONDS - 3600) * 1000;
    return this.files().filter((path) => {
      const stat = statSync(join(this.home, path), { throwIfNoEntry: false });
      return stat !== undefined && stat.mtimeMs < limit;
    });
  }

  /** The texts in the Maildir. */
  maildir(): string[] {
    const directory = join(this.home, "alias/Maildir/new");
    return readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
  }

  /** The text of the mbox; empty when there is none. */
  mbox(): string {
    const path = join(this.home, "alias/Mailbox");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
