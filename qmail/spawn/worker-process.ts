/** A spawner's side of one worker: starts it, gives it deliveries, hands it pieces of long messages. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { Link } from "../net/link.ts";
import { nodeArguments } from "../programs.ts";
import type { Flow } from "./protocol.ts";
import type { Report, WorkReport } from "./report.ts";
import { Waiting } from "./waiting.ts";
import { formatOrder, PIECE, WORK } from "./worker-protocol.ts";

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
  /** Called when the process has gone, for whatever reason. */
  gone(): void;
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
  readonly fd: number;
  progress: string;
}

/** Where a worker finds the file that it was given as its descriptor 4. */
export const WORKER_FILE = "/proc/self/fd/4";

/** A worker may hand on so much; it is its user's, and so may be what it says. */
const PROGRESS = /^[!-~]{1,100}$/;

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #link: Link;
  readonly #pending = new Map<number, Pending>();
  readonly #waiting = new Waiting((id, waits) => this.#pending.get(id)?.waits?.(waits));
  readonly #crashed: Report;
  readonly #flow: Flow | undefined;
  #lastId = 0;
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
      frame: (type, id, payload) => {
        if (type === WORK.hold) this.#flow?.hold(payload.toString("latin1"));
        else if (type === WORK.free) this.#flow?.free(payload.toString("latin1"));
        else this.#frame(type, id, payload);
      },
      close: () => {
        for (const pending of this.#pending.values()) this.#finish(pending, this.#crashed);
        this.#pending.clear();
        options.gone();
      },
    });
  }

  /** Deliveries under way. */
  get busy(): number {
    return this.#pending.size;
  }

  /** Gives the worker a delivery. */
  start(fields: readonly string[], message: OpenMessage, listener: Listener): void {
    const id = ++this.#lastId;
    this.#pending.set(id, { ...listener, fd: message.fd, progress: "" });
    const { size, inline } = message;
    this.#link.send(WORK.start, id, ...formatOrder({ fields, size, inline }));
  }

  /** Has the worker try a domain again, whatever it knows against it; "" for all. */
  flush(host: string): void {
    this.#link.send(WORK.flush, 0, host);
  }

  /** Has the worker put off soon what can be put off. */
  leave(): void {
    this.#link.send(WORK.leave, 0, "");
  }

  /** Lets the process go when it has nothing to do. */
  end(): void {
    this.#link.end();
  }

  #frame(type: number, id: number, payload: Buffer): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (type === WORK.more) {
      this.#link.send(WORK.piece, id, readPiece(pending.fd, payload.readDoubleBE(0)));
    } else if (type === WORK.waits) {
      this.#waiting.say(id, payload.toString("latin1") === "1");
    } else if (type === WORK.progress) {
      const progress = payload.toString("latin1");
      if (PROGRESS.test(progress)) pending.progress = progress;
    } else if (type === WORK.report) {
      this.#pending.delete(id);
      this.#waiting.end(id);
      this.#finish(pending, parseReport(payload));
    }
  }

  #finish(pending: Pending, report: Report): void {
    if (pending.fd >= 0) closeSync(pending.fd);
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

function parseReport(payload: Buffer): Report {
  const text = payload.toString("latin1");
  const status = text[0];
  if (status === "K" || status === "Z" || status === "D") return { status, text: text.slice(1) };
  return { status: "Z", text: "Internal trouble: report mangled. (#4.3.0)\n" };
}
