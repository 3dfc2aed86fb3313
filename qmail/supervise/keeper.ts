/**
 * The keeper: waits for the death of the supervisor, and starts the next one, until one says that it has a keeper
 * of its own. As the supervisor starts the keeper again when that dies, no single death ends the mail server, nor does
 * that of a successor that has not come far.
 *
 * A shell that reads a pipe of which the supervisor alone holds the other end: that costs less than a
 * megabyte, and the kernel tells it at once. That the mail server shall run is nowhere written down: it shall as
 * long as there is a keeper, and an orderly stop ends the keeper first.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeSync } from "node:fs";
import { nodeArguments, programPath } from "../programs.ts";
import { LOCK_FILE } from "./account.ts";
import { silence } from "./silence.ts";

/** Also the brake for a supervisor that cannot live. */
const AGAIN_SECONDS = 1;

/** To the next supervisor: the keeper has started it. */
export const KEPT = "--kept";
/**
 * The lock file, by which the keeper is known (account.ts), and the next supervisor while it is loaded. It closes it when
 * it has the lock: its services would have it, too.
 */
export const KEEPERS_FD = 3;

/** The next supervisor has our standard output: we read there what it says, or that it has died without a word. */
const SCRIPT = `read end
while :; do
  sleep ${AGAIN_SECONDS}
  [ -z "$("$@" &)" ] || exit
done`;

export class Keeper {
  readonly #home: string;
  #fifos: readonly number[] = [];
  #child: ChildProcess | null = null;
  #again: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(home: string) {
    this.#home = home;
  }

  /** It holds `fifos` for the next supervisor: without anybody who could read them, what services say would be refused. */
  start(fifos: readonly number[]): void {
    this.#fifos = fifos;
    if (this.#ended) return;
    const program = programPath("supervise/supervise");
    const supervise = [process.execPath, ...nodeArguments(program, [this.#home, KEPT])];
    const lockFile = openSync(LOCK_FILE, "r");
    const child = spawn("/bin/sh", ["-c", SCRIPT, "qmail-keeper", ...supervise], {
      argv0: "qmail-keeper",
      cwd: this.#home,
      detached: true,
      stdio: ["pipe", "ignore", "ignore", lockFile, ...fifos],
    });
    closeSync(lockFile);
    this.#child = child;
    child.stdin?.on("error", () => {});
    const gone = () => {
      if (this.#child === child)
        this.#again = setTimeout(() => this.start(this.#fifos), AGAIN_SECONDS * 1000);
    };
    child.on("error", gone);
    child.on("exit", gone);
  }

  async end(): Promise<void> {
    this.#ended = true;
    const child = this.#child;
    this.#child = null;
    clearTimeout(this.#again);
    if (child?.kill("SIGKILL")) await once(child, "exit");
  }
}

/** Lets the keeper that has started us go: with `word` it knows that it is not needed any more. */
export function releaseKeeper(word: string): void {
  try {
    writeSync(1, `${word}\n`);
  } catch {
    // It has been killed; or who has started us does not listen.
  }
  silence(1);
}
