/**
 * qmail-lspawn: finds out whose mail each message is and has it delivered as that user
 * (qmail-lspawn(8)). The only part that stays root; it parses no mail.
 *
 * Deliveries for one uid share a worker, so that a delivery to a Maildir starts no process. A worker
 * never serves a second uid, and leaves when it has had nothing to do for a while.
 */

import { closeSync } from "node:fs";
import { resolve } from "node:path";
import { EXIT, QLX } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { type Ids, readIds } from "../ids.ts";
import { programPath } from "../programs.ts";
import { Assignments, type Nughde, NughdeError } from "../users/nughde.ts";
import type { Report } from "./report.ts";
import { type Spawn, serveSpawner } from "./spawner.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A worker without work lives this long. */
const IDLE_MS = 60_000;
/** So many workers may wait for work; beyond, the one that waits longest leaves. */
const IDLE_MAX = 20;

const CRASHED: Report = { status: "Z", text: "qmail-local crashed.\n" };

/** What is reported when no delivery could be begun (C qmail: qmail-lspawn.c, report). */
const TROUBLE: Readonly<Record<number, string>> = {
  [QLX.cdb]: "Trouble reading users/cdb in qmail-lspawn.\n",
  [QLX.sys]: "Temporary failure in qmail-lspawn.\n",
  [QLX.noAlias]: "Unable to find alias user!\n",
  [QLX.root]: "Not allowed to perform deliveries as root.\n",
  [QLX.nfs]: "NFS failure in qmail-local.\n",
};

interface Worker {
  readonly process: WorkerProcess;
  idle: NodeJS.Timeout | null;
}

class Lspawn {
  readonly #home: string;
  readonly #ids: Ids;
  readonly #assignments: Assignments;
  readonly #aliasempty: string;
  readonly #workers = new Map<string, Worker>();
  #idle = new Set<string>();

  constructor(home: string, ids: Ids, aliasempty: string) {
    this.#home = home;
    this.#ids = ids;
    this.#assignments = new Assignments(home, ids);
    this.#aliasempty = aliasempty;
  }

  spawn({ sender, local, host, message }: Spawn, done: (report: Report) => void): void {
    const refuse = (report: Report) => {
      if (message.fd >= 0) closeSync(message.fd);
      done(report);
    };
    // The address <> is delivered to nobody, with success.
    if (local === "") {
      refuse({ status: "K", text: "" });
      return;
    }
    try {
      const whose = this.#whose(local);
      const { name, home, dash, ext } = whose;
      const fields = [name, home, local, dash, ext, host, sender, this.#aliasempty];
      const key = `${whose.uid}:${whose.gid}`;
      const worker = this.#worker(key, whose);
      worker.process.start(fields, message, (report) => {
        this.#rest(key, worker);
        done(report);
      });
    } catch (error) {
      if (!(error instanceof NughdeError)) throw error;
      refuse({ status: "Z", text: TROUBLE[error.code] ?? "Internal qmail-lspawn bug.\n" });
    }
  }

  /** Lets all workers go; resolves when they have gone. */
  async end(): Promise<void> {
    const workers = [...this.#workers.values()];
    for (const { process: worker, idle } of workers) {
      if (idle) clearTimeout(idle);
      worker.end();
    }
    await Promise.all(workers.map(({ process: worker }) => worker.exited));
  }

  #whose(local: string): Nughde {
    const whose = this.#assignments.find(local);
    if (whose.uid === 0 && !this.#ids.sandbox) throw new NughdeError(QLX.root);
    return whose;
  }

  #worker(key: string, { uid, gid }: Nughde): Worker {
    const known = this.#workers.get(key);
    if (known) {
      if (known.idle) clearTimeout(known.idle);
      known.idle = null;
      this.#idle.delete(key);
      return known;
    }
    const worker: Worker = {
      idle: null,
      process: new WorkerProcess(
        {
          program: programPath("local/qmail-local"),
          args: ["--worker", this.#home],
          env: { PATH: process.env.PATH ?? "/usr/bin:/bin", UV_THREADPOOL_SIZE: "16" },
          gone: () => this.#gone(key, worker),
          ...(this.#ids.sandbox ? {} : { owner: { uid, gid } }),
        },
        CRASHED,
      ),
    };
    this.#workers.set(key, worker);
    return worker;
  }

  #gone(key: string, worker: Worker): void {
    if (worker.idle) clearTimeout(worker.idle);
    if (this.#workers.get(key) !== worker) return;
    this.#workers.delete(key);
    this.#idle.delete(key);
  }

  /** The worker has finished something: when it was the last, it may leave after a while. */
  #rest(key: string, worker: Worker): void {
    if (worker.process.busy > 0 || this.#workers.get(key) !== worker) return;
    this.#idle.add(key);
    worker.idle = setTimeout(() => this.#dismiss(key), IDLE_MS);
    if (this.#idle.size <= IDLE_MAX) return;
    for (const oldest of this.#idle) {
      this.#dismiss(oldest);
      break;
    }
  }

  #dismiss(key: string): void {
    const worker = this.#workers.get(key);
    if (!worker) return;
    this.#gone(key, worker);
    worker.process.end();
  }
}

if (import.meta.main) {
  process.title = "qmail-lspawn";
  const aliasempty = process.argv[2];
  if (aliasempty === undefined) process.exit(EXIT.hard);
  process.chdir(qmailHome());
  const ids = readIds(".");
  const lspawn = new Lspawn(resolve("."), ids, Buffer.from(aliasempty).toString("latin1"));
  serveSpawner({
    home: ".",
    owner: ids.uid.qmailq,
    spawn: (delivery, done) => lspawn.spawn(delivery, done),
    finished: () => void lspawn.end().then(() => process.exit(EXIT.ok)),
  });
}
