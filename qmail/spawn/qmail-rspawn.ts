/**
 * qmail-rspawn: hands messages for other hosts to qmail-remote (qmail-rspawn(8)). Reads the queue, so
 * that the process that talks to the network need not: one worker has all connections. It is qmailr too, but not of the
 * group qmail, which may look into the queue.
 */

import { closeSync, openSync } from "node:fs";
import { resolve } from "node:path";
import { EXIT } from "../exit.ts";
import { become } from "../files/become.ts";
import { Hearsay } from "../hearsay.ts";
import { qmailHome } from "../home.ts";
import { readIds } from "../ids.ts";
import { permissionArguments, programPath } from "../programs.ts";
import { TCPTO_FILE } from "../remote/tcpto.ts";
import type { Flow } from "./protocol.ts";
import type { Report } from "./report.ts";
import { serveSpawner } from "./spawner.ts";
import { type Watch, WORKER_FILE, WorkerProcess } from "./worker-process.ts";

const CRASHED: Report = { status: "Z", text: "qmail-remote crashed.\n" };

/** One worker has all deliveries: it must not stand still for long. */
const WATCH: Watch = { everyMs: 10_000, unanswered: 6 };

/** Of the home qmail-remote needs no more. */
const READS = ["control", "run/remote", "/etc/resolv.conf"];
const WRITES = ["run/remote"];

class Rspawn {
  readonly #home: string;
  /** The worker's; undefined: ours. */
  readonly #gid: number | undefined;
  readonly #held = new Set<string>();
  readonly #hearsay = new Hearsay({
    write: (line) => void process.stderr.write(line, "latin1"),
  });
  flow: Flow | null = null;
  #worker: WorkerProcess | null = null;

  constructor(home: string, gid: number | undefined) {
    this.#home = home;
    this.#gid = gid;
  }

  /** The worker, started when the first message needs it, and again after a crash. */
  worker(): WorkerProcess {
    if (this.#worker) return this.#worker;
    const tcpto = openTcpto();
    const worker = new WorkerProcess(
      {
        program: programPath("remote/qmail-remote"),
        args: ["--worker", ...(tcpto === null ? [] : [WORKER_FILE])],
        ...(tcpto === null ? {} : { fd: tcpto }),
        execArgv: permissionArguments({
          reads: [...READS.map((path) => resolve(this.#home, path)), WORKER_FILE],
          writes: [...WRITES.map((path) => resolve(this.#home, path)), WORKER_FILE],
        }),
        ...(this.#gid === undefined ? {} : { owner: { gid: this.#gid } }),
        listen: (stream) => this.#hearsay.listen(stream, "qmail-remote"),
        env: {
          PATH: process.env.PATH ?? "/usr/bin:/bin",
          QMAILHOME: this.#home,
          UV_THREADPOOL_SIZE: "16",
        },
        flow: {
          hold: (host) => {
            this.#held.add(host);
            this.flow?.hold(host);
          },
          free: (host) => this.#free(host),
        },
        watch: WATCH,
        gone: () => {
          if (this.#worker === worker) this.#worker = null;
          // What it held it can free no more.
          for (const host of this.#held) this.#free(host);
        },
      },
      CRASHED,
    );
    if (tcpto !== null) closeSync(tcpto);
    this.#worker = worker;
    return worker;
  }

  #free(host: string): void {
    this.#held.delete(host);
    this.flow?.free(host);
  }

  /** A worker that is not there knows nothing against anybody. */
  flush(host: string): void {
    this.#worker?.flush(host);
  }

  leave(): void {
    this.#worker?.leave();
  }

  /** Lets the worker go; resolves when it has gone. */
  async end(): Promise<void> {
    this.#worker?.end();
    await this.#worker?.exited;
  }
}

/** Which hosts time out: a file of qmailr's, in a directory of the queue that the worker cannot enter. */
function openTcpto(): number | null {
  try {
    return openSync(TCPTO_FILE, "r+");
  } catch {
    // It only saves time.
    return null;
  }
}

if (import.meta.main) {
  process.title = "qmail-rspawn";
  process.chdir(qmailHome());
  const ids = readIds(".");
  if (!ids.sandbox) {
    become({ uid: ids.uid.qmailr, gid: ids.gid.qmail, childGid: ids.gid.nofiles });
  }
  const rspawn = new Rspawn(resolve("."), ids.sandbox ? undefined : process.getgid?.());
  rspawn.flow = serveSpawner({
    home: ".",
    owner: ids.uid.qmailq,
    spawn: ({ messid, made, sender, local, host, open }, done) => {
      const fields = [messid, host, sender, `${local}@${host}`, String(made)];
      rspawn.worker().start(fields, open, { done });
    },
    flush: (host) => rspawn.flush(host),
    leave: () => rspawn.leave(),
    finished: () => void rspawn.end().then(() => process.exit(EXIT.ok)),
  });
}
