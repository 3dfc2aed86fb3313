/** A spawner's side of one worker: starts it, gives it deliveries, hands it pieces of long messages. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { heard } from "../net/frames.ts";
import { Link, Refusal } from "../net/link.ts";
import { nodeArguments } from "../programs.ts";
import { Warnings } from "../warn.ts";
import type { Flow } from "./protocol.ts";
import type { Report, WorkReport } from "./report.ts";
import { FROM_WORKER, formatOrder, PIECE, WORK } from "./worker-protocol.ts";

export interface WorkerOptions {
  /** Absolute path of the program. */
  readonly program: string;
  readonly args: readonly string[];
  /** Whom it runs as; the caller when absent. */
  readonly owner?: { readonly uid?: number; readonly gid?: number };
  readonly env: NodeJS.ProcessEnv;
  /** Arguments for Node itself: what the process may do. */
  readonly execArgv?: readonly string[];
  /** It gets this as its descriptor 4. */
  readonly fd?: number;
  /** Listens to its standard error (Hearsay.listen); its standard output goes nowhere. */
  listen?(stream: Readable): () => Promise<void>;
  /** What the worker asks for. */
  readonly flow?: Flow;
  /** Ends a worker that has work and does not answer; absent: it may take as long as it wants. */
  readonly watch?: Watch;
  /** Called when the process has gone, for whatever reason. */
  gone(): void;
}

/** How long a worker's loop may stand still. */
export interface Watch {
  /** Milliseconds from one ping to the next. */
  readonly everyMs: number;
  /** So many pings without an answer are its end. */
  readonly unanswered: number;
}

/** A message opened for one delivery. */
export interface OpenMessage {
  readonly size: number;
  /** All of it, or empty when it is long: then `fd` reads it, and closing it is the worker's. */
  readonly inline: Buffer;
  readonly fd: number;
}

/** Who is told how a delivery goes. */
export interface Listener {
  /** Called once. */
  done(report: WorkReport): void;
  /** It waits for something of its own user's, or goes on. */
  waits?(waits: boolean): void;
}

interface Pending extends Listener {
  /** Below 0 when no file is open. */
  fd: number;
  /** It has asked for a piece and has not been told it. */
  asked: boolean;
  progress: string;
}

/** Where a worker finds the file that it was given as its descriptor 4. */
export const WORKER_FILE = "/proc/self/fd/4";

/** Opens a message for one delivery; a report when it cannot be. */
export type Opener = () => OpenMessage | Report;

/** A frame that a worker has begun must be whole after this time, in milliseconds. */
const FRAME_MS = 30_000;
/** One that has nothing to do and was told to go has gone after this time, in milliseconds, or is killed. */
const LEAVE_MS = 10_000;

const warnings = new Warnings();

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #link: Link;
  readonly #pending = new Map<number, Pending>();
  /** What is to be said when the worker has read what it was told before. */
  readonly #unsaid: (() => void)[] = [];
  readonly #crashed: Report;
  readonly #flow: Flow | undefined;
  #lastId = 0;
  #unanswered = 0;
  /** Resolves when the process has gone, and what it said last is told. */
  readonly exited: Promise<void>;

  /** `crashed` is reported for deliveries under way when the process dies. */
  constructor(options: WorkerOptions, crashed: Report) {
    this.#crashed = crashed;
    this.#flow = options.flow;
    const { program, args, execArgv } = options;
    this.#child = spawn(process.execPath, nodeArguments(program, args, execArgv), {
      // Not our log: it is its user's, who could read it, or write there what he likes.
      stdio: [
        "ignore",
        "ignore",
        options.listen ? "pipe" : "ignore",
        "pipe",
        options.fd ?? "ignore",
      ],
      env: options.env,
      ...(options.owner ?? {}),
    });
    const gone = options.listen?.(this.#child.stdio[2] as Readable);
    const exit = new Promise<void>((resolve) => {
      this.#child.on("exit", () => resolve());
      // A failed start: the link closes in that case too.
      this.#child.on("error", () => resolve());
    });
    this.exited = exit.then(gone);
    this.#link = new Link(this.#child.stdio[3] as Socket, {
      // It is its user's, and so may be all that it says.
      guarded: true,
      frameMs: FRAME_MS,
      hears: heard(FROM_WORKER, {
        more: (position, id) => this.#more(id, position),
        report: (report, id) => this.#report(id, report),
        waits: ({ yes }, id) => this.#pending.get(id)?.waits?.(yes),
        progress: (progress, id) => {
          const pending = this.#pending.get(id);
          if (pending) pending.progress = progress;
        },
        hold: (host) => this.#flow?.hold(host),
        free: (host) => this.#flow?.free(host),
        pong: () => {
          this.#unanswered = 0;
        },
      }),
      close: (error) => {
        clearInterval(timer);
        this.#closed(options, error);
      },
    });
    const { watch } = options;
    // Pings are counted, not seconds: who stood still himself takes it for nobody else's fault.
    const timer = watch && setInterval(() => this.#ping(watch), watch.everyMs).unref();
  }

  /** A loop that stands still, in a parser say, would hold all deliveries for good. */
  #ping({ everyMs, unanswered }: Watch): void {
    if (this.#child.killed) return;
    if (this.#pending.size === 0) this.#unanswered = 0;
    else if (this.#unanswered < unanswered) {
      this.#unanswered++;
      this.#link.send(WORK.ping, 0);
    } else {
      const seconds = Math.round((everyMs * unanswered) / 1000);
      warnings.say(`a worker that has not answered for ${seconds} seconds is ended`);
      this.#child.kill("SIGKILL");
    }
  }

  /** Deliveries under way. */
  get busy(): number {
    return this.#pending.size;
  }

  /** Gives the worker a delivery, whose message is opened when it can take it. */
  start(fields: readonly string[], open: Opener, listener: Listener): void {
    const id = ++this.#lastId;
    const pending: Pending = { ...listener, fd: -1, asked: false, progress: "" };
    this.#pending.set(id, pending);
    this.#say(() => {
      // It may have said something of it before it knew of it.
      if (this.#pending.get(id) !== pending) return;
      const message = open();
      if ("status" in message) return this.#report(id, message);
      const { size, inline, fd } = message;
      pending.fd = fd;
      this.#link.send(WORK.start, id, ...formatOrder({ fields, size, inline }));
    });
  }

  /** Has the worker try a domain again, whatever it knows against it; "" for all. */
  flush(host: string): void {
    this.#link.send(WORK.flush, 0, host);
  }

  /** Has the worker put off soon what can be put off. */
  leave(): void {
    this.#link.send(WORK.leave, 0);
  }

  /** Lets the process go, which has nothing to do. */
  end(): void {
    this.#link.end();
    setTimeout(() => this.#child.kill("SIGKILL"), LEAVE_MS).unref();
  }

  /** Nothing is opened or read for a worker that does not read what it was told before. */
  #say(say: () => void): void {
    this.#unsaid.push(say);
    if (this.#unsaid.length === 1) this.#sayOn();
  }

  #sayOn(): void {
    for (let say = this.#unsaid[0]; say; say = this.#unsaid[0]) {
      if (this.#link.full) {
        void this.#link.drained().then(() => this.#sayOn());
        return;
      }
      say();
      this.#unsaid.shift();
    }
  }

  #more(id: number, position: number): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    // Who asks again before he was answered could have us keep any number of requests.
    if (pending.asked) {
      this.#link.refuse("a piece asked for twice");
      return;
    }
    pending.asked = true;
    this.#say(() => {
      pending.asked = false;
      if (this.#pending.get(id) !== pending) return;
      this.#link.send(WORK.piece, id, readPiece(pending.fd, position));
    });
  }

  #report(id: number, report: Report): void {
    const pending = this.#pending.get(id);
    if (!this.#pending.delete(id) || !pending) return;
    this.#finish(pending, report);
  }

  #closed({ owner, gone }: WorkerOptions, error?: Error): void {
    this.#unsaid.length = 0;
    if (error instanceof Refusal) {
      const uid = owner?.uid ?? process.getuid?.();
      warnings.say(`ended the worker of uid ${uid}, which said ${error.message}`);
      // It does what no worker of ours does, and nobody speaks to it any more.
      this.#child.kill("SIGKILL");
    }
    for (const pending of this.#pending.values()) this.#finish(pending, this.#crashed);
    this.#pending.clear();
    gone();
  }

  #finish(pending: Pending, report: Report): void {
    if (pending.fd >= 0) closeSync(pending.fd);
    pending.fd = -1;
    const { progress } = pending;
    pending.done({ ...report, ...(progress && { progress }) });
  }
}

function readPiece(fd: number, position: number): Buffer {
  const piece = Buffer.allocUnsafe(PIECE);
  try {
    return piece.subarray(0, readSync(fd, piece, 0, PIECE, position));
  } catch {
    // An empty piece tells the worker that there is no more to be had: it reports trouble.
    return piece.subarray(0, 0);
  }
}
