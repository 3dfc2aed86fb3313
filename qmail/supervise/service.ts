/** One supervised service: its process, its readiness, its log (service directory: HACKING.md). */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeSync } from "node:fs";
import { actionFor, brake, type Event, type State } from "./transitions.ts";

/** A service that does not say when it is ready counts as up when it has lived this long. */
const ASSUMED_READY_MS = 1000;
/** So long a service may take to end: qmail-send waits for its deliveries. */
const STOP_MS = 60_000;

export interface ServiceContext {
  readonly name: string;
  /** Directory with `run` and perhaps `notification-fd`, `down`, `timeout-kill`. */
  readonly directory: string;
  /** Descriptor for standard input, to which the daemon says that it is ready. */
  readonly inputFd: number;
  /** Descriptor for standard output and error. */
  readonly logFd: number;
  /** Milliseconds. */
  readonly now: () => number;
  /** Called after each change of state. */
  changed(service: Service): void;
}

export class Service {
  readonly #context: ServiceContext;
  #state: State = { name: "down" };
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
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

  get pid(): number | null {
    return "pid" in this.#state ? this.#state.pid : null;
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
      case "wait":
        this.#wait();
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
    const child = spawn("./run", [], {
      cwd: directory,
      // A group of its own, so that all its processes can be reached together.
      detached: true,
      stdio: [inputFd, logFd, logFd],
    });
    this.#child = child;
    child.on("error", ({ message }) => {
      writeSync(logFd, `alert: cannot start ${this.name}: ${message}\n`);
      this.#exited(child);
    });
    child.on("exit", () => this.#exited(child));
    const since = now();
    if (child.pid === undefined) {
      // `run` cannot be executed: a short life like any other.
      this.#child = null;
      this.#wait();
      return;
    }
    const timeout = existsSync(`${directory}/notification-fd`) ? null : ASSUMED_READY_MS;
    this.#enter({ name: "starting", pid: child.pid, since }, timeout);
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

  #wait(): void {
    const { now } = this.#context;
    const lived = "since" in this.#state ? now() - this.#state.since : 0;
    const { delay, failures } = brake(lived, this.#failures);
    this.#failures = failures;
    this.#enter({ name: "waiting", until: now() + delay }, delay);
  }

  #terminate(): void {
    if (!("pid" in this.#state)) return;
    const { pid, since } = this.#state;
    this.#enter({ name: "stopping", pid, since }, this.#stopTime());
    this.signal("SIGTERM");
    // A stopped (paused) process cannot end.
    this.signal("SIGCONT");
  }

  #kill(): void {
    if (this.#state.name !== "stopping") return;
    try {
      process.kill(-this.#state.pid, "SIGKILL");
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
