/**
 * A site for floods: the daemons of Site's installation under a small supervisor that starts qmail-start
 * again as soon as it has gone, whatever else is left; qmail-smtpd beside them; mailboxes on another
 * filesystem, so that the numbers that the queue gives back are the queue's next.
 */

import { type ChildProcess, spawn } from "node:child_process";
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
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { networkQueue } from "../../qmail/queue/network-queue.ts";
import { LOCAL_SOCKET } from "../../qmail/queue/protocol.ts";
import { freePort } from "../site/_site.ts";
import { HOST } from "./letters.ts";
import { stamp } from "./order-hooks.ts";
import type { OrderPlan } from "./plan.ts";
import { SHM } from "./powercut.ts";
import { type Process, processesOf, signal } from "./processes.ts";
import { type Build, Site } from "./site.ts";

const TRIGGER_FLAGS = constants.O_WRONLY | constants.O_NONBLOCK;
/** A qmail-start that ends at once is not started again at once. */
const AGAIN_MS = 300;
/** Mailboxes of those who have to wait are open for so long. */
const OPEN_MS = 500;
const READY_MS = 50;
/** An orderly stop takes no longer. */
const STOP_MS = 30_000;
/** So much of the log is remembered, of lines about messages. */
const LOG_MAX = 400_000;

export class OrderSite {
  readonly home: string;
  readonly #site: Site;
  readonly #mail: string;
  readonly #plan: () => OrderPlan;
  #main: ChildProcess | null = null;
  #smtpd: ChildProcess | null = null;
  #wanted = false;
  #running: Promise<void> = Promise.resolve();
  #port = 0;
  /** qmail-send has said something, so it takes signals. */
  #ready = false;
  readonly #seen = new Set<string>();
  #log: string[] = [];
  /** Numbers that were given to a second message. */
  reused = 0;
  starts = 0;

  /** Each start asks for a plan. */
  constructor(build: Build, plan: () => OrderPlan) {
    this.#site = new Site(build);
    this.home = this.#site.home;
    this.#plan = plan;
    this.#mail = mkdtempSync(join(existsSync(SHM) ? SHM : tmpdir(), "qmailctl-torture-mail-"));
    for (const name of ["tmp", "new", "cur"]) mkdirSync(join(this.#mail, name));
    const files: Record<string, string> = {
      "control/rcpthosts": `${HOST}\n`,
      "alias/.qmail-to-default": `${this.#mail}/\n`,
      "alias/.qmail-wait-default": `${this.#mail}/\n`,
      "alias/.qmail-from-default": `${this.#mail}/\n`,
      "alias/.qmail-postmaster": `${this.#mail}/\n`,
      clock: "",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.home, name), text);
  }

  get port(): number {
    return this.#port;
  }

  /** The file of what happened, in the order in which it did. */
  get trace(): string {
    return join(this.home, "trace");
  }

  /** The file that says what the clock shows. */
  get clock(): string {
    return join(this.home, "clock");
  }

  /** Writes down what the harness itself did. */
  note(text: string): void {
    this.#log.push(`${stamp()} harness ${text}\n`);
  }

  /** What was noted and logged since the last call. */
  takeLog(): string[] {
    const log = this.#log;
    this.#log = [];
    return log;
  }

  async start(): Promise<void> {
    this.#wanted = true;
    this.#running = this.#supervise();
    await this.#startSmtpd();
  }

  /** Resolves when the queue can be reached. */
  async open(): Promise<void> {
    const queue = networkQueue(this.home);
    await queue.connect();
    queue.end();
    while (!existsSync(join(this.home, LOCAL_SOCKET))) await sleep(5);
  }

  async #startSmtpd(): Promise<void> {
    this.#port = await freePort();
    const { holds, failures, flushMs, ...rest } = this.#plan();
    const plan = { orders: { ...rest, holds: 0, failures: 0, flushMs: 0 } };
    const args = ["--listen", `127.0.0.1:${this.#port}`, "--concurrency", "1000"];
    this.#smtpd = spawn(
      process.execPath,
      [...this.#site.program("smtpd/qmail-smtpd", plan), ...args, "--per-client", "1000"],
      { env: this.#site.env(plan), stdio: ["ignore", "ignore", "inherit"] },
    );
    while (!(await answers(this.#port))) await sleep(20);
  }

  /** Resolves when a qmail-send works, or nobody is to. */
  async ready(): Promise<void> {
    // One that is ending has said so before.
    await sleep(READY_MS);
    while (this.#wanted && !this.#ready) await sleep(READY_MS);
  }

  async #supervise(): Promise<void> {
    while (this.#wanted) {
      const began = performance.now();
      const plan = { orders: this.#plan() };
      this.starts++;
      const child = spawn(
        process.execPath,
        [...this.#site.program("qmail-start", plan), "./Mailbox"],
        { env: this.#site.env(plan), stdio: ["ignore", "pipe", "pipe"] },
      );
      this.#main = child;
      this.#ready = false;
      this.note(`started qmail-start ${child.pid}`);
      this.#read(child);
      const [code, by] = await once(child, "exit");
      this.#main = null;
      this.#ready = false;
      this.note(`qmail-send has gone: ${code ?? by}`);
      if (this.#wanted && performance.now() - began < 1000) await sleep(AGAIN_MS);
    }
  }

  #read(child: ChildProcess): void {
    let rest = "";
    const lines = (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      const now = stamp();
      for (const line of parts) this.#line(now, line);
    };
    child.stdout?.setEncoding("latin1").on("data", lines);
    child.stderr?.setEncoding("latin1").on("data", (text: string) => {
      if (this.#log.length < LOG_MAX) this.#log.push(`${stamp()} stderr ${text.trim()}\n`);
    });
  }

  #line(now: string, line: string): void {
    this.#ready ||= line.startsWith("status: ");
    const id = /^new msg (\d+)$/.exec(line)?.[1];
    if (id !== undefined && this.#seen.has(id)) this.reused++;
    else if (id !== undefined) this.#seen.add(id);
    if (line.startsWith("status: ") || this.#log.length > LOG_MAX) return;
    this.#log.push(`${now} log ${line}\n`);
  }

  /** qmail-send, if it runs. */
  get main(): number | undefined {
    return this.#main?.pid;
  }

  /** All processes of the mail system, but for qmail-smtpd. */
  processes(): Process[] {
    return processesOf(this.home).filter(({ pid }) => pid !== this.#smtpd?.pid);
  }

  signalMain(name: NodeJS.Signals): void {
    this.#main?.kill(name);
  }

  pull(): void {
    try {
      const trigger = openSync(join(this.home, "queue/lock/trigger"), TRIGGER_FLAGS);
      writeSync(trigger, "\0");
      closeSync(trigger);
    } catch {
      // Nobody listens now.
    }
  }

  /** Has everything that waits tried now. */
  flush(): void {
    if (this.#ready) this.signalMain("SIGALRM");
  }

  /** The same, and what nobody has announced. */
  urge(): void {
    this.flush();
    this.pull();
  }

  /** Deliveries to those who have to wait are deferred, or work again. */
  shut(yes: boolean): void {
    // A .qmail file that is writable for all is not followed: temporary trouble.
    chmodSync(join(this.home, "alias/.qmail-wait-default"), yes ? 0o666 : 0o644);
  }

  /** Lets those who wait have what has come for them, and shuts their mailboxes again. */
  async letWaitersIn(): Promise<void> {
    this.shut(false);
    this.urge();
    await sleep(OPEN_MS);
    this.shut(true);
  }

  /** Files of messages that are not finished. */
  work(): string[] {
    return this.#site.work();
  }

  /** Takes what has arrived out of the mailboxes. */
  collect(take: (text: Buffer) => void, most = Infinity): number {
    const directory = join(this.#mail, "new");
    const names = readdirSync(directory).slice(0, most);
    for (const name of names) {
      const path = join(directory, name);
      take(readFileSync(path));
      unlinkSync(path);
    }
    return names.length;
  }

  /** An orderly stop of the daemons, which are killed when they do not go. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.signalMain("SIGTERM");
    await Promise.race([this.#running, sleep(STOP_MS, undefined, { ref: false })]);
    await this.#end();
    await this.#running;
  }

  /** An orderly stop and a start of the daemons. */
  async restart(): Promise<void> {
    await this.stop();
    this.#wanted = true;
    this.#running = this.#supervise();
  }

  async #end(): Promise<void> {
    for (let left = this.processes(); left.length > 0; left = this.processes()) {
      for (const { pid } of left) signal(pid, "SIGKILL");
      await sleep(20);
    }
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.#wanted = false;
    this.signalMain("SIGKILL");
    await this.#end();
    await this.#running;
    const smtpd = this.#smtpd;
    if (smtpd?.exitCode === null) {
      smtpd.kill("SIGKILL");
      await once(smtpd, "exit");
    }
  }

  remove(): void {
    this.#site.remove();
    rmSync(this.#mail, { recursive: true, force: true });
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
