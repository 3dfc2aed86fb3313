/**
 * Loaded into every process of a tortured site before its own code (`node --import`): sees each call
 * that changes a file of the site, and does with it what the plan in TORTURE_PLAN says:
 * kill the process at one of them, write them down, pretend a sync, or hold calls back and have them fail.
 *
 * Nothing of the mail system is imported here, and nothing of it knows about this.
 */

import childProcess from "node:child_process";
import { existsSync, openSync, writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";
import { hookClock } from "./clock-hooks.ts";
import { type Call, hookFiles, type Watcher } from "./hooks.ts";
import { hookOrders } from "./order-hooks.ts";
import type { Fault, Kill, Plan, TraceEvent } from "./plan.ts";

const plan = JSON.parse(process.env.TORTURE_PLAN as string) as Plan;
const role = basename(process.argv[1] ?? "").replace(/\.[jt]s$/, "");

const PROCESS = `${role}.${process.pid}`;

/** Dies as from outside: no handler runs, no buffer is written. */
function die(scope: Kill["scope"]): never {
  process.kill(scope === "all" ? 0 : process.pid, "SIGKILL");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  throw new Error("alive after SIGKILL");
}

/** Counts this process's calls and dies at the one that is asked for. */
class Killer {
  readonly #kill: Kill;
  #count = 0;
  #chosen: Call | null = null;
  #armed: boolean;

  constructor(kill: Kill) {
    this.#kill = kill;
    // A process started anew after the death of its kind lives.
    this.#armed = kill.arm === undefined && !existsSync(kill.note);
  }

  before(call: Call): void {
    const { arm, note } = this.#kill;
    this.#armed ||= arm !== undefined && existsSync(arm) && !existsSync(note);
    if (!this.#armed) return;
    this.#count++;
    if (this.#count === this.#kill.at) this.#chosen = call;
    if (this.#chosen !== call || this.#kill.when === "after") return;
    if (this.#kill.when === "half") call.writeHalf?.();
    this.#say(call);
    die(this.#kill.scope);
  }

  after(call: Call): void {
    if (this.#chosen !== call || this.#kill.when !== "after") return;
    this.#say(call);
    die(this.#kill.scope);
  }

  /** Says what it died of: the harness counts kinds of calls, not only their number. */
  #say(call: Call): void {
    const where = call.path.replace(plan.site, "").replace(/\d+/g, "#");
    const fd = openSync(this.#kill.note, "w");
    writeSync(fd, `${role} ${call.name} ${where}`);
  }
}

/** Writes down every change and sync; the file is shared by all processes, appended in the order of events. */
class Recorder {
  readonly #fd: number;
  readonly #faults: readonly Fault[];
  #syncs = 0;

  constructor(trace: string, faults: readonly Fault[]) {
    this.#fd = openSync(trace, "a");
    this.#faults = faults;
  }

  before(call: Call): void {
    if (call.name === "fsync" || call.name === "fdatasync") {
      call.sync = ++this.#syncs;
      this.#syncEvent(call, "begin");
    }
  }

  after(call: Call): void {
    if (call.sync !== undefined) this.#syncEvent(call, "end");
    else this.#write({ ...call.event, process: PROCESS } as TraceEvent);
  }

  /** What is pretended for a sync: nothing, that it happened, or that it happened before it does. */
  fault(call: Call): Fault["what"] | null {
    const fault = this.#faults.find(({ path }) => new RegExp(path).test(call.path));
    if (!fault || (call.name !== "fsync" && call.name !== "fdatasync")) return null;
    if (fault.what === "late") {
      setTimeout(() => {
        this.before(call);
        this.after(call);
      }, 50);
    }
    return fault.what;
  }

  #syncEvent(call: Call, phase: "begin" | "end"): void {
    const { handle, sync } = call;
    this.#write({ op: "sync", process: PROCESS, handle, sync, phase } as TraceEvent);
  }

  #write(event: TraceEvent): void {
    writeSync(this.#fd, `${JSON.stringify(event)}\n`);
  }
}

/** Delays links into todo/: an answer given before the message is the queue's. */
const LATE_LINK_MS = 300;

function watcher(): Watcher {
  const killer = plan.kill?.role === role ? new Killer(plan.kill) : null;
  const recorder = plan.trace ? new Recorder(plan.trace, plan.faults ?? []) : null;
  return {
    site: plan.site,
    before(call) {
      killer?.before(call);
      recorder?.before(call);
    },
    after(call) {
      recorder?.after(call);
      killer?.after(call);
    },
    pretend: (call) => recorder?.fault(call) ?? null,
    late: (call) => (plan.lateLinks && call.name === "link" ? LATE_LINK_MS : 0),
    ...(plan.unknownFilesystem ? { filesystemType: 0 } : {}),
  };
}

/** Programs started by this one are watched too. */
function hookSpawn(): void {
  const { spawn } = childProcess;
  const hooked = (command: string, args: readonly string[], options: childProcess.SpawnOptions) => {
    if (command !== process.execPath) return spawn(command, args, options);
    const env = { ...options.env, TORTURE_PLAN: process.env.TORTURE_PLAN };
    return spawn(command, ["--import", import.meta.url, ...args], { ...options, env });
  };
  childProcess.spawn = hooked as typeof spawn;
}

hookSpawn();
if (plan.orders?.clock) hookClock(plan.orders.clock);
if (plan.orders) hookOrders(plan.site, plan.orders, role);
else hookFiles(watcher());
syncBuiltinESMExports();
