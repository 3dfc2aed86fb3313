/**
 * qmail-lspawn: finds out whose mail each message is and has it delivered as that user
 * (qmail-lspawn(8)). The only part that stays root; it parses no mail.
 *
 * Deliveries for one uid share a worker, so that a delivery to a Maildir starts no process; a worker
 * never serves a second uid. It has the user's uid and gid and, as in C qmail, no supplementary groups.
 */

import { resolve } from "node:path";
import { programArgs } from "../arguments.ts";
import { EXIT, QLX } from "../exit.ts";
import { Hearsay } from "../hearsay.ts";
import { qmailHome } from "../home.ts";
import { readIds } from "../ids.ts";
import { programPath } from "../programs.ts";
import { Assignments, NughdeError, type Whose } from "../users/nughde.ts";
import { warn } from "../warn.ts";
import { DoneLines } from "./done-lines.ts";
import type { Report } from "./report.ts";
import { type Place, Shares } from "./shares.ts";
import { type Spawn, serveSpawner } from "./spawner.ts";
import { type Owner, WorkerPool } from "./worker-pool.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A worker without work lives this long. */
const IDLE_MS = 60_000;
/** Idle workers may take this part of the memory that is to be had, at so much each; a few in any case. */
const IDLE_SHARE = 1 / 4;
const WORKER_BYTES = 20 * 1024 * 1024;
const IDLE_MIN = 20;
const IDLE_MAX = 400;

const CRASHED: Report = { status: "Z", text: "qmail-local crashed.\n" };

/** What is reported when no delivery could be begun (C qmail: qmail-lspawn.c, report). */
const TROUBLE: Readonly<Record<number, string>> = {
  [QLX.cdb]: "Trouble reading users/cdb in qmail-lspawn.\n",
  [QLX.sys]: "Temporary failure in qmail-lspawn.\n",
  [QLX.noAlias]: "Unable to find alias user!\n",
  [QLX.root]: "Not allowed to perform deliveries as root.\n",
  [QLX.nfs]: "NFS failure in qmail-local.\n",
};

/** What is reported when `error` kept us from finding out whose an address is. */
export function troubleReport(error: NughdeError): Report {
  return { status: "Z", text: TROUBLE[error.code] ?? "Internal qmail-lspawn bug.\n" };
}

/** qmail-local's arguments for mail that is `whose`. */
export function localFields(
  { nughde: { name, home, dash, ext } }: Whose,
  { local, host, sender }: Pick<Spawn, "local" | "host" | "sender">,
  aliasempty: string,
): string[] {
  return [name, home, local, dash, ext, host, sender, aliasempty];
}

/** How many workers may wait for work when `memory` bytes are available. */
export function idleMax(memory: number): number {
  const fitting = Math.floor((memory * IDLE_SHARE) / WORKER_BYTES);
  return Math.min(Math.max(fitting, IDLE_MIN), IDLE_MAX);
}

interface LspawnOptions {
  readonly assignments: Assignments;
  readonly pool: WorkerPool;
  readonly shares: Shares;
  readonly aliasempty: string;
  readonly doneLines: DoneLines;
}

async function deliver(
  { assignments, pool, shares, aliasempty, doneLines }: LspawnOptions,
  spawn: Spawn,
  done: (report: Report) => void,
): Promise<void> {
  // The address <> is delivered to nobody, with success.
  if (spawn.local === "") return done({ status: "K", text: "" });
  try {
    const whose = await assignments.find(spawn.local);
    if (!spawn.wanted()) return done(CRASHED);
    const { messid, made, open, waits } = spawn;
    const fields = localFields(whose, spawn, aliasempty);
    const key = [messid, `${made}`, `${whose.nughde.uid}`, ...fields];
    const start = (place: Place) =>
      pool.deliver(
        whose.nughde,
        { fields: [...fields, doneLines.get(key)], open },
        {
          waits: place.blocked,
          done: ({ progress, ...report }) => {
            if (report.status !== "Z") doneLines.forget(key);
            else if (progress) doneLines.set(key, progress);
            place.end();
            done(report);
          },
        },
      );
    shares.enter(whose.nughde.uid, { start, refuse: done, waits });
  } catch (error) {
    if (error instanceof NughdeError) return done(troubleReport(error));
    warn(String((error as Error).stack));
    done({ status: "Z", text: TROUBLE[QLX.sys] as string });
  }
}

/** What the workers say: they are their users'. */
const hearsay = new Hearsay({ write: (line) => void process.stderr.write(line, "latin1") });

function startWorker(home: string, owner: Partial<Owner>, gone: () => void): WorkerProcess {
  const { QMAILHOME, ...env } = process.env;
  const who = `qmail-local uid ${owner.uid ?? process.getuid?.()}`;
  return new WorkerProcess(
    {
      program: programPath("local/qmail-local"),
      args: ["--worker", home],
      listen: (stream) => hearsay.listen(stream, who),
      env: { PATH: "/usr/bin:/bin", ...env, UV_THREADPOOL_SIZE: "16" },
      owner,
      gone,
    },
    CRASHED,
  );
}

function main(aliasempty: string): void {
  process.chdir(qmailHome());
  const home = resolve(".");
  const ids = readIds(".");
  const pool = new WorkerPool({
    // In a sandbox everything runs as one user.
    start: (owner, gone) => startWorker(home, ids.sandbox ? {} : owner, gone),
    idleMs: IDLE_MS,
    idleMax: () => idleMax(process.availableMemory()),
  });
  const shares = new Shares({ alone: ids.sandbox });
  const options = {
    assignments: new Assignments(home, ids),
    pool,
    shares,
    aliasempty,
    doneLines: new DoneLines(),
  };
  serveSpawner({
    home: ".",
    owner: ids.uid.qmailq,
    spawn: (spawn, done) => void deliver(options, spawn, done),
    limit: (most) => {
      shares.limit = most;
    },
    leave: () => {
      shares.leave();
      pool.leave();
    },
    finished: () => void pool.end().then(() => process.exit(EXIT.ok)),
  });
}

if (import.meta.main) {
  const [aliasempty] = programArgs();
  process.title = "qmail-lspawn";
  if (aliasempty === undefined) process.exit(EXIT.hard);
  main(aliasempty);
}
