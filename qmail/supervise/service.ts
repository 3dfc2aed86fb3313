/** One supervised service: its process, its readiness, its log (service directory: HACKING.md). */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ended, LEAVE_MS } from "./ending.ts";
import { groupMembers, type ProcessInfo } from "./procfs.ts";
import { actionFor, brake, type Event, type State } from "./transitions.ts";

/** A service that does not say when it is ready counts as up when it has lived this long. */
const ASSUMED_READY_MS = 1000;
/** So long a service may take to end: qmail-send waits for its deliveries. */
const STOP_MS = 60_000;
/** What we may not end now is tried again. */
const AGAIN_MS = 1000;

export interface ServiceContext {
  readonly name: string;
  /** Directory with `run` and perhaps `notification-fd`, `down`, `timeout-kill`. */
  readonly directory: string;
  /** Descriptor for standard input, to which the daemon says that it is ready. */
  readonly inputFd: number;
  /** Descriptor for standard output and error. */
  readonly logFd: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
  /** Says a line in the service's log. */
  say(line: string): void;
  /** Called before each start: what was written to standard input until now counts no more. */
  starting(): void;
  /** Called after each change of state. */
  changed(service: Service): void;
}

export class Service {
  readonly #context: ServiceContext;
  #state: State = { name: "down" };
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Of the process started last. */
  #group = 0;
  #failures = 0;
  #paused = false;
  /** Starts after the first. */
  restarts = 0;
  #started = false;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  get name(): string {
    return this.#context.name;
  }

  get state(): State {
    return this.#state;
  }

  /** Short lives in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** The first process. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** True between SIGSTOP and SIGCONT. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Sends `signal` to the service's first process; false when it does not run. */
  signal(signal: NodeJS.Signals): boolean {
    const sent = this.#child?.kill(signal) ?? false;
    if (sent && signal === "SIGSTOP") this.#paused = true;
    if (sent && signal === "SIGCONT") this.#paused = false;
    return sent;
  }

  handle(event: Event): void {
    switch (actionFor(this.#state.name, event)) {
      case "spawn":
        this.#spawn();
        break;
      case "up":
        this.#up();
        break;
      case "clear":
        this.#clear();
        break;
      case "wait":
        this.#wait("lived" in this.#state ? this.#state.lived : 0);
        break;
      case "terminate":
        this.#terminate();
        break;
      case "kill":
        this.#kill();
        break;
      case "down":
        this.#enter({ name: "down" });
        break;
      case "none":
        break;
    }
  }

  #enter(state: State, timeout: number | null = null): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = timeout === null ? null : setTimeout(() => this.handle("timeout"), timeout);
    this.#state = state;
    this.#context.changed(this);
  }

  #spawn(): void {
    const { directory, inputFd, logFd, now } = this.#context;
    if (this.#started) this.restarts++;
    this.#started = true;
    this.#context.starting();
    const failed = ({ message }: Error) =>
      this.#context.say(`alert: cannot start ${this.name}: ${message}`);
    let child: ChildProcess | null = null;
    try {
      child = spawn("./run", [], {
        cwd: directory,
        // A group of its own, so that all its processes can be reached together.
        detached: true,
        stdio: [inputFd, logFd, logFd],
      });
      child.on("error", failed);
    } catch (error) {
      // Some reasons come this way, as too little memory.
      failed(error as Error);
    }
    if (child?.pid === undefined) {
      // A short life like any other.
      this.#wait(0);
      return;
    }
    this.#child = child;
    this.#group = child.pid;
    const started = child;
    child.on("exit", () => this.#exited(started));
    const timeout = existsSync(`${directory}/notification-fd`) ? null : ASSUMED_READY_MS;
    this.#enter({ name: "starting", pid: child.pid, since: now() }, timeout);
  }

  #exited(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#paused = false;
    this.handle("exit");
  }

  #up(): void {
    if (this.#state.name === "starting") this.#enter({ ...this.#state, name: "up" });
  }

  /** The first process has ended: what is left of its group has a moment to see that, and is killed. */
  #clear(): void {
    const { now } = this.#context;
    if (this.#state.name === "starting" || this.#state.name === "up") {
      this.#enter({ name: "clearing", lived: now() - this.#state.since });
    }
    void this.#emptied(this.#group).then(() => this.handle("empty"));
  }

  async #emptied(group: number): Promise<void> {
    const say = (what: string, left: readonly ProcessInfo[]) =>
      this.#context.say(`${what}: ${left.map(({ pid, title }) => `${title} (${pid})`).join(", ")}`);
    for (;;) {
      try {
        return await ended(() => remains(group), {
          leaveMs: LEAVE_MS,
          killing: (left) =>
            say(`warning: killing what ${this.name}, which has ended, has left`, left),
          stuck: (left) => say("alert: killed, but still there; waiting for", left),
        });
      } catch (error) {
        say(`alert: cannot end: ${(error as Error).message}; waiting for`, remains(group));
        await sleep(AGAIN_MS);
      }
    }
  }

  #wait(lived: number): void {
    const { now } = this.#context;
    const { delay, failures } = brake(lived, this.#failures);
    this.#failures = failures;
    this.#enter({ name: "waiting", until: now() + delay }, delay);
  }

  #terminate(): void {
    this.#enter({ name: "stopping", pid: this.pid }, this.#child && this.#stopTime());
    this.signal("SIGTERM");
    // A stopped (paused) process cannot end.
    this.signal("SIGCONT");
  }

  #kill(): void {
    // While we have not waited for the first process, nobody else's group has its name.
    if (!this.#child?.pid) return;
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has just gone: its exit is on the way.
    }
  }

  #stopTime(): number {
    try {
      const text = readFileSync(`${this.#context.directory}/timeout-kill`, "utf8");
      return Number.parseInt(text, 10) || STOP_MS;
    } catch {
      return STOP_MS;
    }
  }
}

/** Who is left of a group whose first process has ended; with a first process it is another's, who got the number. */
function remains(group: number): ProcessInfo[] {
  const members = groupMembers(new Set([group]));
  return members.some(({ pid }) => pid === group) ? [] : members;
}
