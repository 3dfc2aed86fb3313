/** The one process that writes the logs of all services, started again when it dies. */

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync } from "node:fs";
import { type Ids, readIds } from "../ids.ts";
import { programPath } from "../programs.ts";

/** After a death, the next start; what the services say meanwhile waits in their FIFOs. */
const AGAIN_MS = 200;
/** The writer reads to the end when the services have gone; longer than this it does not take. */
const END_MS = 5000;

export class LogWriter {
  readonly #names: readonly string[];
  readonly #ids: Ids;
  #child: ChildProcess | null = null;
  #ending: (() => void) | null = null;

  /** For services whose FIFOs are run/log.NAME. */
  constructor(names: readonly string[]) {
    this.#names = names;
    this.#ids = readIds(".");
    if (this.#ids.sandbox) return;
    const { uid, gid } = this.#ids;
    for (const name of names) chownSync(`run/log.${name}`, uid.qmaill, gid.nofiles);
  }

  start(): void {
    const { sandbox, uid, gid } = this.#ids;
    const owner = sandbox ? {} : { uid: uid.qmaill, gid: gid.nofiles };
    const child = spawn(
      process.execPath,
      [programPath("multilog/service-logs"), ...this.#names],
      // Its input ends when we end, or want it to.
      { stdio: ["pipe", "ignore", "ignore"], ...owner },
    );
    this.#child = child;
    child.stdin?.on("error", () => {});
    child.on("error", () => this.#gone(child));
    child.on("exit", () => this.#gone(child));
  }

  /** Resolves when everything said is written. */
  end(): Promise<void> {
    const child = this.#child;
    if (!child) return Promise.resolve();
    return new Promise((resolve) => {
      this.#ending = resolve;
      child.stdin?.end();
      setTimeout(() => child.kill("SIGKILL"), END_MS).unref();
    });
  }

  #gone(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    if (this.#ending) this.#ending();
    else setTimeout(() => this.start(), AGAIN_MS);
  }
}
