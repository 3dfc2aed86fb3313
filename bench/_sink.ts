/** Postfix's smtp-sink: takes every message, and counts. */

import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** A run in which nothing arrives for so long is given up. */
const QUIET_MS = 60_000;

export class Sink {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #news = new EventEmitter();
  /** Messages taken since the start. */
  messages = 0;
  /** Connections that have ended since the start. */
  connections = 0;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text = (text + chunk.toString("latin1")).slice(-200);
      // The last whole line of its running counters; each ends in a CR.
      const counters = [...text.matchAll(/sess=(\d+) quit=\d+ mesg=(\d+)\s/g)].at(-1);
      if (!counters) return;
      this.connections = Number(counters[1]);
      this.messages = Number(counters[2]);
      this.#news.emit("messages");
    });
  }

  /** Listens on `port` of `ip`, or of every address of this machine; resolves when it does. */
  static async start(port: number, ip = ""): Promise<Sink> {
    const child = spawn(
      "smtp-sink",
      ["-u", "nobody", "-4", "-c", "-m", "2000", `${ip}:${port}`, "1000"],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const sink = new Sink(port, child);
    // It says nothing when it is ready.
    await sleep(200);
    if (child.exitCode !== null) throw new Error(`smtp-sink left with ${child.exitCode}`);
    return sink;
  }

  /** Resolves when `count` messages have been taken since the start. */
  async taken(count: number): Promise<void> {
    while (this.messages < count) {
      try {
        await once(this.#news, "messages", { signal: AbortSignal.timeout(QUIET_MS) });
      } catch {
        throw new Error(`only ${this.messages} of ${count} messages arrived`);
      }
    }
  }

  stop(): void {
    this.#child.kill("SIGTERM");
  }
}
