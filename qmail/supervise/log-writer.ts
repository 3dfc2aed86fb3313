/**
 * The one process that writes the logs of all services. It is started again when it dies, and killed when it
 * hangs: it is asked every two seconds whether it still works. What the services say meanwhile waits in their FIFOs.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, closeSync, openSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { type Ids, readIds } from "../ids.ts";
import { nodeArguments, programPath } from "../programs.ts";
import { LOCK_FILE } from "./account.ts";
import type { LogsStatus } from "./control.ts";

/** After a death, the next start. */
const AGAIN_MS = 200;
/** The writer reads to the end when the services have gone; longer than this it does not take. */
const END_MS = 5000;
const ASK_MS = 2000;
/** Looks without an answer after which it hangs; a busy machine may be slow. Looks are counted, as a clock goes on while we are held up. */
const UNANSWERED_MAX = 3;
/** Until the first answer: it has to start. */
const UNANSWERED_FIRST_MAX = 30;

export interface LogWriterContext {
  /** Services whose FIFOs are run/log.NAME. */
  readonly names: readonly string[];
  /** Called when one is started. */
  started(): void;
  /** Called when it works again, after it has said nothing for so many seconds. */
  again(seconds: number): void;
}

export class LogWriter {
  readonly #context: LogWriterContext;
  readonly #ids: Ids;
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  #ending = false;
  #unanswered = 0;
  #allowed = UNANSWERED_FIRST_MAX;
  /** When the last answer came before it was found hanging; null when all is well. */
  #silentSince: number | null = null;
  #answeredAt = performance.now();
  /** What it says is wrong: "" for nothing. */
  #trouble = "";

  constructor(context: LogWriterContext) {
    this.#context = context;
    this.#ids = readIds(".");
    if (this.#ids.sandbox) return;
    const { uid, gid } = this.#ids;
    for (const name of context.names) chownSync(`run/log.${name}`, uid.qmaill, gid.nofiles);
  }

  get status(): LogsStatus {
    // Before it is killed for that, too.
    const late = this.#unanswered > 1 && this.#allowed === UNANSWERED_MAX;
    const since = this.#silentSince ?? (late ? this.#answeredAt : null);
    return {
      pid: this.#child?.pid ?? null,
      silent: since === null ? 0 : Math.round((performance.now() - since) / 1000),
      trouble: this.#trouble,
    };
  }

  start(): void {
    const { sandbox, uid, gid } = this.#ids;
    const owner = sandbox ? {} : { uid: uid.qmaill, gid: gid.nofiles };
    const lockFile = openSync(LOCK_FILE, "r");
    const child = spawn(
      process.execPath,
      nodeArguments(programPath("multilog/service-logs"), this.#context.names),
      // Its input ends when we end, or want it to; by the last, and by its own group, it is known (account.ts).
      { detached: true, stdio: ["pipe", "pipe", "ignore", lockFile], ...owner },
    );
    closeSync(lockFile);
    this.#child = child;
    this.#unanswered = 0;
    this.#allowed = UNANSWERED_FIRST_MAX;
    child.stdin?.on("error", () => {});
    child.stdout?.on("error", () => {}).on("data", (said) => this.#answered(child, String(said)));
    child.on("error", () => this.#gone(child));
    child.on("exit", () => this.#gone(child));
    this.#ask(child);
    this.#context.started();
  }

  /** Resolves when everything said is written. */
  async end(): Promise<void> {
    this.#ending = true;
    // After one that had to be killed a second one: what waits in the FIFOs is still to be written.
    for (let tries = 0; tries < 2; tries++) {
      if (!this.#child) this.start();
      const child = this.#child as ChildProcess;
      if (this.#timer) clearTimeout(this.#timer);
      child.stdin?.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
      await new Promise((resolve) => child.on("exit", resolve).on("error", resolve));
      clearTimeout(timer);
      if (child.exitCode === EXIT.ok) return;
    }
  }

  #ask(child: ChildProcess): void {
    if (this.#unanswered++ === 0) child.stdin?.write("\n");
    this.#timer = setTimeout(() => {
      if (this.#unanswered <= this.#allowed) return this.#ask(child);
      // A call to a disk that hangs is not left even then, and nobody else reads meanwhile.
      this.#silentSince ??= this.#answeredAt;
      child.kill("SIGKILL");
      this.#ask(child);
    }, ASK_MS);
  }

  #answered(child: ChildProcess, said: string): void {
    if (this.#child !== child) return;
    const { silent } = this.status;
    const hung = this.#silentSince !== null;
    this.#unanswered = 0;
    this.#allowed = UNANSWERED_MAX;
    this.#answeredAt = performance.now();
    this.#silentSince = null;
    this.#trouble = said.trimEnd().split("\n").at(-1) ?? "";
    if (hung) this.#context.again(silent);
  }

  #gone(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    if (this.#timer) clearTimeout(this.#timer);
    if (!this.#ending) this.#timer = setTimeout(() => this.start(), AGAIN_MS);
  }
}
