/**
 * The supervisor: `supervise HOME [--alone]`. Starts the services of HOME/service and the process that writes
 * their logs, starts again what dies, and stops everything in order.
 *
 * Its death ends nothing: the services go on, and the next supervisor, which the keeper starts, ends
 * them in order and starts its own (keeper.ts, state.ts, leftovers.ts). What they say meanwhile waits in
 * their FIFOs. `--alone` means without keeper, for those who have a supervisor for the supervisor.
 */

import { spawnSync } from "node:child_process";
import { chmodSync, constants, existsSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { closeInherited } from "../files/inherited.ts";
import { lockExclusive } from "../files/lock.ts";
import { CONTROL_SOCKET, EXIT_BUSY, type Request, type Response } from "./control.ts";
import { Keeper } from "./keeper.ts";
import { endLeftovers } from "./leftovers.ts";
import { LogWriter } from "./log-writer.ts";
import { processInfo } from "./procfs.ts";
import { READY_LINE } from "./ready.ts";
import { Service } from "./service.ts";
import { forgetState, type Started, writeState } from "./state.ts";

/** The mail system itself: started first, stopped last. */
const MAIL_SYSTEM = "qmail-send";
/** A service with more short lives in a row than this keeps dying. */
const FAILURES_MAX = 1;

export const LOCK_FILE = "run/supervise.lock";

class Supervisor {
  readonly #services: readonly Service[];
  readonly #logs: LogWriter;
  readonly #keeper: Keeper | null;
  readonly #server: Server;
  readonly #watchers = new Set<() => void>();
  #inherited: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  constructor(keeper: Keeper | null) {
    this.#keeper = keeper;
    const names = serviceNames();
    this.#services = names.map((name) => {
      // A new one: what an earlier service has said of itself does not count.
      rmSync(`run/ready.${name}`, { force: true });
      const inputFd = openFifo(`run/ready.${name}`);
      const service = new Service({
        name,
        directory: `service/${name}`,
        inputFd,
        logFd: openFifo(`run/log.${name}`),
        now: Date.now,
        changed: () => this.#changed(),
      });
      onLine(`run/ready.${name}`, READY_LINE, () => service.handle("ready"));
      return service;
    });
    this.#logs = new LogWriter(names);
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async run(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      process.on(signal, () => void this.stop());
    }
    await this.#listen();
    this.#logs.start();
    this.#keeper?.start();
    this.#inherited = endLeftovers(".", () => {});
    await this.#inherited;
    if (this.#stopping) return;
    const [first, ...others] = this.#services;
    if (!first) return;
    first.handle("start");
    // The doors open when the mail system is there; and do not wait for ever if it does not come.
    await this.#until(() => first.state.name !== "starting" || this.#stopping !== null);
    for (const service of others) if (!this.#stopping) service.handle("start");
  }

  /** Doors first, then the mail system, then the log. Resolves when all is quiet; then the process ends. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#inherited;
    for (const service of this.#services.toReversed()) {
      service.handle("stop");
      await this.#until(() => service.state.name === "down");
    }
    await this.#keeper?.end();
    await this.#logs.end();
    forgetState(".");
    rmSync(CONTROL_SOCKET, { force: true });
    // Whoever asked for the stop gets his answer before we go.
    setImmediate(() => process.exit(EXIT.ok));
  }

  #changed(): void {
    const started: Started[] = [];
    for (const { name, pid } of this.#services) {
      const info = pid === null ? null : processInfo(pid);
      if (info) started.push({ service: name, pid: info.pid, startTicks: info.startTicks });
    }
    writeState(started);
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Resolves when `condition` holds, looked at after each change; or when `timeout` ms are over. */
  #until(condition: () => boolean, timeout?: number): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      const look = () => {
        if (condition()) done();
      };
      const timer = timeout === undefined ? undefined : setTimeout(done, timeout);
      this.#watchers.add(look);
    });
  }

  #listen(): Promise<void> {
    // We hold the lock: a socket that is there was left by a crash.
    rmSync(CONTROL_SOCKET, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(CONTROL_SOCKET, () => {
        chmodSync(CONTROL_SOCKET, 0o600);
        resolve();
      });
    });
  }

  #serve(socket: Socket): void {
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += String(chunk);
      const end = text.indexOf("\n");
      if (end < 0) {
        if (text.length > 10_000) socket.destroy();
        return;
      }
      const line = text.slice(0, end);
      text = "";
      void this.#answer(line).then((answer) => socket.write(`${JSON.stringify(answer)}\n`));
    });
  }

  async #answer(line: string): Promise<Response> {
    let request: Request;
    try {
      request = JSON.parse(line);
    } catch {
      return this.#response(false);
    }
    switch (request.type) {
      case "status":
        return this.#response(true);
      case "wait":
        await this.#until(() => this.#settled(), request.timeout);
        return this.#response(this.#services.every(({ state }) => state.name === "up"));
      case "stop":
        await this.stop();
        return this.#response(true);
      case "signal": {
        const { service, signal } = request;
        return this.#response(
          this.#services.find(({ name }) => name === service)?.signal(signal) ?? false,
        );
      }
      default:
        return this.#response(false);
    }
  }

  /** Everything is up, or something shows that it will not be. */
  #settled(): boolean {
    if (this.#stopping) return true;
    return (
      this.#services.every(({ state }) => state.name === "up") ||
      this.#services.some(({ failures }) => failures > FAILURES_MAX)
    );
  }

  #response(ok: boolean): Response {
    return {
      ok,
      pid: process.pid,
      services: this.#services.map(({ name, state, pid, paused, restarts, failures }) => {
        return { name, state: state.name, pid, paused, restarts, failures };
      }),
    };
  }
}

/** The services to run: the mail system first, the others by name; not those with a `down` file. */
function serviceNames(): string[] {
  const names = readdirSync("service")
    .filter((name) => existsSync(`service/${name}/run`) && !existsSync(`service/${name}/down`))
    .sort();
  const first = names.filter((name) => name === MAIL_SYSTEM);
  return [...first, ...names.filter((name) => name !== MAIL_SYSTEM)];
}

/**
 * A FIFO between a service and the writer of its log. We hold it open for both directions, so that
 * either side may die and come back, and what was said meanwhile waits in it.
 */
function openFifo(path: string): number {
  if (!statSync(path, { throwIfNoEntry: false })?.isFIFO()) {
    const { status, stderr } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
    if (status !== 0) throw new Error(`cannot make the FIFO "${path}": ${stderr}`);
  }
  return openSync(path, constants.O_RDWR);
}

/** Calls `happened` whenever something with `line` in it is written to the FIFO `path`. */
function onLine(path: string, line: string, happened: () => void): void {
  // Opened once more: not blocking is a property of the opening, and the service's must block.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on("data", (chunk: Buffer) => {
    if (chunk.toString("latin1").includes(line)) happened();
  });
}

async function main([home, alone]: readonly string[]): Promise<void> {
  if (home === undefined) {
    process.stderr.write("supervise: usage: supervise HOME [--alone]\n");
    process.exit(EXIT.hard);
  }
  process.chdir(home);
  if (!lockExclusive(openSync(LOCK_FILE, "a", 0o600))) {
    process.stderr.write(`supervise: fatal: another supervisor runs in ${home}\n`);
    process.exit(EXIT_BUSY);
  }
  await new Supervisor(alone === "--alone" ? null : new Keeper(home)).run();
}

if (import.meta.main) {
  process.title = "qmail-supervise";
  closeInherited();
  process.umask(0o022);
  await main(process.argv.slice(2));
}
