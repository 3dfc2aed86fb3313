/**
 * The workers of qmail-lspawn, one for each uid and gid that has mail: it lives on when it is done,
 * since the next message is likely for someone who just had one, and leaves when nothing came for a
 * while or too many others wait as it does. At most as many run as deliveries are under way, and the
 * idle ones.
 */

import type { Listener, Opener, WorkerProcess } from "./worker-process.ts";

/** Whom a worker runs as. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export type PoolWorker = Pick<WorkerProcess, "busy" | "start" | "leave" | "end" | "exited">;

export interface PoolOptions {
  /** Starts a worker for `owner`, which calls `gone` when it has left, for whatever reason. */
  start(owner: Owner, gone: () => void): PoolWorker;
  /** A worker without work lives so long, in milliseconds. */
  readonly idleMs: number;
  /** So many workers may be without work now; beyond, the one that is so for longest leaves. */
  idleMax(): number;
}

interface Entry {
  readonly worker: PoolWorker;
  idle: NodeJS.Timeout | null;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #entries = new Map<string, Entry>();
  /** Keys of workers without work, the longest first. */
  readonly #idle = new Set<string>();
  readonly #dismissed = new Set<Promise<void>>();
  #leaving = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Has `fields` and the message that `open` opens delivered as `owner`; arguments as WorkerProcess.start. */
  deliver(
    owner: Owner,
    { fields, open }: { readonly fields: readonly string[]; readonly open: Opener },
    listener: Listener,
  ): void {
    const key = `${owner.uid}:${owner.gid}`;
    const entry = this.#entries.get(key) ?? this.#start(key, owner);
    this.#wake(key, entry);
    entry.worker.start(fields, open, {
      ...listener,
      done: (report) => {
        this.#rest(key, entry);
        listener.done(report);
      },
    });
  }

  /** What can be put off is to be put off soon, by all workers there are and will be. */
  leave(): void {
    this.#leaving = true;
    for (const { worker } of this.#entries.values()) worker.leave();
  }

  /** Lets all workers go when they are done; resolves when they have gone. */
  async end(): Promise<void> {
    for (const key of [...this.#entries.keys()]) this.#dismiss(key);
    await Promise.all(this.#dismissed);
  }

  #start(key: string, owner: Owner): Entry {
    const worker = this.#options.start(owner, () => {
      if (this.#entries.get(key) === entry) this.#forget(key, entry);
    });
    const entry: Entry = { worker, idle: null };
    this.#entries.set(key, entry);
    if (this.#leaving) worker.leave();
    return entry;
  }

  #wake(key: string, entry: Entry): void {
    if (entry.idle) clearTimeout(entry.idle);
    entry.idle = null;
    this.#idle.delete(key);
  }

  #rest(key: string, entry: Entry): void {
    if (entry.worker.busy > 0 || this.#entries.get(key) !== entry) return;
    this.#idle.add(key);
    entry.idle = setTimeout(() => this.#dismiss(key), this.#options.idleMs).unref();
    const [longest] = this.#idle;
    if (this.#idle.size > this.#options.idleMax() && longest !== undefined) this.#dismiss(longest);
  }

  #dismiss(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#forget(key, entry);
    const left = entry.worker.exited.then(() => void this.#dismissed.delete(left));
    this.#dismissed.add(left);
    entry.worker.end();
  }

  #forget(key: string, entry: Entry): void {
    this.#wake(key, entry);
    this.#entries.delete(key);
  }
}
