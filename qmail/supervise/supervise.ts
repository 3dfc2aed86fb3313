/**
 * The supervisor: `supervise HOME [--alone|--kept]`. Starts the services of HOME/service and the process that writes
 * their logs, starts again what dies, and stops everything in order.
 *
 * Its death ends nothing: the services go on, and the next supervisor, which the keeper starts, ends
 * them in order and starts its own (keeper.ts, account.ts, ending.ts). What they say meanwhile waits in
 * their FIFOs. `--alone` means without keeper, for those who have a supervisor for the supervisor;
 * `--kept`, that the keeper has started us.
 */

import { chmodSync, closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { closeInherited } from "../files/inherited.ts";
import { LockBusyError, lockWaiting } from "../files/lock.ts";
import { account, HELPER, LOCK_FILE, MAIL_SYSTEM, type RunningService } from "./account.ts";
import {
  CONTROL_SOCKET,
  EXIT_BUSY,
  keepsDying,
  parseRequest,
  REQUEST_MAX,
  type Request,
  type Response,
  type ServiceStatus,
} from "./control.ts";
import { endHelpers, endServices } from "./ending.ts";
import { Listener, openFifo, openForService } from "./fifo.ts";
import { KEEPERS_FD, KEPT, Keeper, releaseKeeper } from "./keeper.ts";
import { LogWriter } from "./log-writer.ts";
import { READY_LINE } from "./ready.ts";
import { Service } from "./service.ts";
import { silence } from "./silence.ts";
import { StateFile } from "./state.ts";
import { Voice } from "./voice.ts";

/** What a supervisor that has just been killed was starting may hold its lock for a moment; so does a stop. */
const LOCK_SECONDS = 5;
/** So many may ask at once. */
const CLIENTS_MAX = 100;

class Supervisor {
  readonly #services: readonly Service[];
  readonly #logs: LogWriter;
  readonly #state: StateFile;
  readonly #keeper: Keeper | null;
  readonly #server: Server;
  readonly #fifos: number[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #voices = new Map<string, Voice>();
  /** The end of what an earlier supervisor has left. */
  #inherited: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  constructor(keeper: Keeper | null) {
    this.#keeper = keeper;
    const names = serviceNames();
    this.#services = names.map((name) => this.#service(name));
    this.#logs = new LogWriter({
      names,
      started: () => this.#note(),
      again: (seconds) => {
        const line = `warning: the writer of the logs did not answer for ${seconds} seconds; another writes now`;
        this.#say(MAIL_SYSTEM, line);
      },
    });
    this.#state = new StateFile((line) => this.#say(MAIL_SYSTEM, line));
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = CLIENTS_MAX;
  }

  #service(name: string): Service {
    // Ours stay open: so there is always somebody who could read.
    for (const path of [`run/ready.${name}`, `run/log.${name}`]) this.#fifos.push(openFifo(path));
    this.#voices.set(name, new Voice(`run/log.${name}`));
    const readiness = new Listener(`run/ready.${name}`, READY_LINE, () => service.handle("ready"));
    const service = new Service({
      name,
      directory: `service/${name}`,
      inputFd: openForService(`run/ready.${name}`),
      logFd: openForService(`run/log.${name}`),
      now: () => performance.now(),
      say: (line) => this.#say(name, line),
      starting: () => readiness.forget(),
      changed: () => this.#changed(),
    });
    return service;
  }

  async run(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      process.on(signal, () => void this.stop());
    }
    await this.#listen();
    if (this.#stopping) return;
    // Who has started us asks from now on.
    silence(2);
    const left = account(".");
    this.#keeper?.start(this.#fifos);
    releaseKeeper("kept");
    this.#inherited = this.#endLeft(left);
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
    // First of all: should we be killed now, nobody may start again what is being stopped.
    await this.#keeper?.end();
    releaseKeeper("stopping");
    await this.#inherited;
    for (const service of this.#services.toReversed()) {
      service.handle("stop");
      await this.#until(() => service.state.name === "down");
    }
    await this.#logs.end();
    rmSync(CONTROL_SOCKET, { force: true });
    // Whoever asked for the stop gets his answer before we go.
    setImmediate(() => process.exit(EXIT.ok));
  }

  /** Ends what an earlier supervisor has left. Two writers of logs would tear lines apart, so ours begins behind the old one. */
  async #endLeft(left: ReturnType<typeof account>): Promise<void> {
    await endHelpers(left);
    this.#logs.start();
    const say = (what: string, { service, processes }: RunningService) =>
      this.#say(
        service,
        `${what}: ${processes.map(({ pid, title }) => `${title} (${pid})`).join(", ")}`,
      );
    await endServices(".", {
      ending: (service) => say("warning: ending what a supervisor that died has left", service),
      stuck: (service) => say("alert: killed, but still there; waiting for", service),
    });
  }

  #say(service: string, line: string): void {
    // A service that is not there any more has no log, either.
    this.#voices.get(service)?.say(line);
  }

  #note(): void {
    const groups = [...this.#services, { name: HELPER, pid: this.#logs.status.pid }];
    this.#state.note(
      groups.flatMap(({ pid, name }) => (pid === null ? [] : [[pid, name] as const])),
    );
  }

  #changed(): void {
    this.#note();
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

  /** One question after another: nothing more is heard before the answer is read. */
  #serve(socket: Socket): void {
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\n");
      if (end < 0 && text.length <= REQUEST_MAX) return;
      const request = end < 0 ? null : parseRequest(text.slice(0, end));
      text = "";
      if (!request) return void socket.end(`${JSON.stringify(this.#response(false))}\n`);
      socket.pause();
      void this.#answer(request).then((answer) => {
        socket.write(`${JSON.stringify(answer)}\n`, () => socket.resume());
      });
    });
  }

  async #answer(request: Request): Promise<Response> {
    switch (request.type) {
      case "status":
        return this.#response(true);
      case "wait":
        await this.#inherited;
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
    }
  }

  /** Everything is up, or is known not to come; without the mail system the rest does not matter. */
  #settled(): boolean {
    if (this.#stopping) return true;
    const [first, ...others] = this.#services.map(status);
    if (!first || keepsDying(first)) return true;
    return [first, ...others].every((each) => each.state === "up" || keepsDying(each));
  }

  #response(ok: boolean): Response {
    return {
      ok,
      pid: process.pid,
      services: this.#services.map(status),
      logs: this.#logs.status,
    };
  }
}

function status({ name, state, pid, paused, restarts, failures }: Service): ServiceStatus {
  return { name, state: state.name, pid, paused, restarts, failures };
}

/** The services to run: the mail system first, the others by name; not those with a `down` file. */
function serviceNames(): string[] {
  const names = readdirSync("service")
    .filter((name) => existsSync(`service/${name}/run`) && !existsSync(`service/${name}/down`))
    .sort();
  const first = names.filter((name) => name === MAIL_SYSTEM);
  return [...first, ...names.filter((name) => name !== MAIL_SYSTEM)];
}

async function main([home, by]: readonly string[]): Promise<void> {
  if (home === undefined) {
    process.stderr.write("supervise: usage: supervise HOME [--alone|--kept]\n");
    process.exit(EXIT.hard);
  }
  process.chdir(home);
  try {
    await lockWaiting(openSync(LOCK_FILE, "a", 0o600), LOCK_SECONDS);
  } catch (error) {
    if (!(error instanceof LockBusyError)) throw error;
    process.stderr.write(`supervise: fatal: another supervisor runs in ${home}\n`);
    releaseKeeper("busy");
    process.exit(EXIT_BUSY);
  }
  if (by === KEPT) closeSync(KEEPERS_FD);
  await new Supervisor(by === "--alone" ? null : new Keeper(home)).run();
}

if (import.meta.main) {
  process.title = "qmail-supervise";
  closeInherited();
  process.umask(0o022);
  await main(process.argv.slice(2));
}
