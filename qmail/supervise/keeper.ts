/**
 * The keeper: waits for the death of the supervisor, and becomes the next one. As the supervisor
 * starts the keeper again when that dies, no single death ends the mail server.
 *
 * A shell that reads a pipe of which the supervisor alone holds the other end: that costs less than a
 * megabyte, and the kernel tells it at once. An orderly stop ends the keeper first.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { programPath } from "../programs.ts";
import { STATE_FILE } from "./state.ts";

/** Also the brake for a supervisor that cannot live. */
const AGAIN_SECONDS = 1;

/** Without the state file nothing shall run: `qmailctl stop` has been here. */
const SCRIPT = `read end; sleep ${AGAIN_SECONDS}; [ -e ${STATE_FILE} ] && exec "$@"`;

export class Keeper {
  readonly #home: string;
  #child: ChildProcess | null = null;
  #again: NodeJS.Timeout | undefined;

  constructor(home: string) {
    this.#home = home;
  }

  start(): void {
    const supervise = [process.execPath, programPath("supervise/supervise"), this.#home];
    const child = spawn("/bin/sh", ["-c", SCRIPT, "qmail-keeper", ...supervise], {
      argv0: "qmail-keeper",
      cwd: this.#home,
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#child = child;
    child.stdin?.on("error", () => {});
    const gone = () => {
      if (this.#child === child) this.#again = setTimeout(() => this.start(), AGAIN_SECONDS * 1000);
    };
    child.on("error", gone);
    child.on("exit", gone);
  }

  async end(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    clearTimeout(this.#again);
    if (child?.kill("SIGKILL")) await once(child, "exit");
  }
}
