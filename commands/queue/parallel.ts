/**
 * Reading a large queue with several threads. Most of the time goes into system calls, a dozen a
 * message, so two processors read twice as fast as one.
 *
 * Each thread takes the next part of the queue (a subdirectory of info, or todo) until none is left,
 * does the job on it and sends home what comes out, as plain data.
 */

import { availableParallelism } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { MessId } from "../../qmail/queue/fmtqfn.ts";
import { exceeds, type Odd, PARTS, type Share, todoIds } from "../../qmail/queue/queue-read.ts";

/** Below so many messages one thread is done before another has started. */
export const SMALL = 5000;
const THREADS_MAX = 4;
/** What is read is soon forgotten: with more room a thread would only keep it longer. */
const YOUNG_MB = 16;
/** So many results of a thread may wait to be taken. */
const AHEAD = 8;

/** A thread's share, and who is told of what is odd in it. */
export interface ThreadShare extends Share {
  readonly odd: (odd: Odd) => void;
}

/** What is done with a share of the queue; `options` and results go from thread to thread. */
export interface Job<O, R> {
  /** `import.meta.url` of the module that exports `part`. */
  readonly module: string;
  readonly part: (options: O, share: ThreadShare) => Iterable<R>;
}

/** The next part to read; then, for each thread, how many of its results wait. */
type Counters = Int32Array<SharedArrayBuffer>;

interface Assignment {
  readonly module: string;
  readonly options: unknown;
  readonly todo: ReadonlySet<MessId>;
  readonly counters: Counters;
  /** Where its counter is. */
  readonly thread: number;
}

export interface Reading<O, R> {
  /** The queue directory. */
  readonly queue: string;
  readonly job: Job<O, R>;
  readonly options: O;
  /** Told of what is passed over. */
  readonly odd?: (odd: Odd) => void;
  /** Up to so many messages are read from here alone. */
  readonly small?: number;
}

/** The results of a job on the whole of a queue, as they come. */
export async function* inParts<O, R>(reading: Reading<O, R>): AsyncGenerator<R> {
  const { queue, job, options, odd = () => {}, small = SMALL } = reading;
  const { module, part } = job;
  const others = exceeds(queue, small) ? Math.min(availableParallelism(), THREADS_MAX) - 1 : 0;
  const counters = new Int32Array(new SharedArrayBuffer(4 * (others + 1)));
  const todo = todoIds(queue);
  const workers = new Workers<R>(others, { module, options, todo, counters }, odd);
  try {
    for (const value of part(options, { todo, parts: parts(counters), odd })) {
      yield value;
      await nextTurn();
      yield* workers.take();
    }
    while (await workers.more()) yield* workers.take();
  } finally {
    await workers.end();
  }
}

function* parts(counters: Counters): Generator<number> {
  for (;;) {
    const part = Atomics.add(counters, 0, 1);
    if (part >= PARTS) return;
    yield part;
  }
}

/** What a thread sends home. */
type News<R> = { readonly value: R } | { readonly odd: Odd };

class Workers<R> {
  readonly #workers: Worker[] = [];
  readonly #counters: Counters;
  #running = 0;
  #results: { thread: number; value: R }[] = [];
  #error: unknown = null;
  #wake: () => void = () => {};

  constructor(count: number, assignment: Omit<Assignment, "thread">, odd: (odd: Odd) => void) {
    this.#counters = assignment.counters;
    for (let thread = 1; thread <= count; thread++) {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { ...assignment, thread } satisfies Assignment,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
      this.#running++;
      worker.on("message", (news: News<R>) => {
        if ("odd" in news) odd(news.odd);
        else this.#results.push({ thread, value: news.value });
        this.#wake();
      });
      worker.on("error", (error) => {
        this.#error ??= error;
      });
      worker.on("exit", () => {
        this.#running--;
        this.#wake();
      });
      this.#workers.push(worker);
    }
  }

  /** What has come so far. Throws what a thread threw. */
  *take(): Generator<R> {
    for (const { thread, value } of this.#results.splice(0)) {
      Atomics.sub(this.#counters, thread, 1);
      Atomics.notify(this.#counters, thread);
      yield value;
    }
    if (this.#error) throw this.#error;
  }

  /** Resolves when something has come; with false when nothing will any more. */
  async more(): Promise<boolean> {
    while (this.#results.length === 0 && this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#results.length > 0 || this.#error !== null;
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

async function work({ module, options, todo, counters, thread }: Assignment): Promise<void> {
  const { part } = (await import(module)) as Pick<Job<unknown, unknown>, "part">;
  const send = (news: News<unknown>) => parentPort?.postMessage(news);
  const share = { todo, parts: parts(counters), odd: (odd: Odd) => send({ odd }) };
  for (const value of part(options, share)) {
    send({ value });
    // Not further ahead than memory should hold.
    for (let waiting = Atomics.add(counters, thread, 1) + 1; waiting > AHEAD; ) {
      Atomics.wait(counters, thread, waiting);
      waiting = Atomics.load(counters, thread);
    }
  }
}

if (!isMainThread && workerData?.counters) void work(workerData as Assignment);
