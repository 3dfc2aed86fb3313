/**
 * Passwords checked by a program with the checkpassword interface: login NUL password NUL timestamp NUL on
 * its descriptor 3; it runs what is named behind it when they are right. A code that is neither 0 nor 111 says that they
 * are not: 1 by the interface, 3 of vchkpw. For CRAM-MD5 login, challenge and response are in the three places, as qmail's AUTH patches
 * have it.
 */

import { spawn } from "node:child_process";
import { basename } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Check } from "../checkpassword/system.ts";
import { EXIT } from "../exit.ts";
import { Hearsay } from "../hearsay.ts";
import type { CramAnswer, PasswordStore } from "./auth.ts";

/** A checkpassword program may read at most this much. */
const INPUT_MAX = 512;
/** So many programs run at once; further logins wait. */
const PROGRAMS_MAX = 8;
/** So many logins wait; further ones hear that it cannot be said now. */
const WAITING_MAX = 200;
/** A program that takes longer is ended. */
const PROGRAM_MS = 30_000;

export interface CheckProgramOptions {
  /** The program and its arguments; `true` is put behind a program without. */
  readonly command: readonly string[];
  warn(text: string): void;
}

/** Gives three words to a checkpassword program. */
export type CheckWords = (words: readonly [string, string, string]) => Promise<Check>;

/** Runs the program of `options`, for a few logins at once. */
export function checkProgram(options: CheckProgramOptions): CheckWords {
  const runner = new Runner(options);
  return (words) => runner.check(words);
}

/** The store behind `check`; `cram`: it knows CRAM-MD5. */
export function programStore(check: CheckWords, { cram }: { cram: boolean }): PasswordStore {
  const store: PasswordStore = { check: (login, password) => check([login, password, ""]) };
  if (!cram) return store;
  const checkCram = (login: string, { challenge, response }: CramAnswer) =>
    check([login, challenge, response]);
  return { ...store, checkCram };
}

class Runner {
  readonly #options: CheckProgramOptions;
  readonly #hearsay: Hearsay;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: CheckProgramOptions) {
    this.#options = options;
    this.#hearsay = new Hearsay({ write: (line) => options.warn(line.trimEnd()) });
  }

  async check(words: readonly string[]): Promise<Check> {
    const input = Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1");
    if (words.some((word) => word.includes("\0")) || input.length > INPUT_MAX) return "refused";
    if (!(await this.#turn())) return "temporary";
    try {
      return this.#verdict(await this.#run(input));
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** Resolves when a program may be started; false: too many wait. */
  async #turn(): Promise<boolean> {
    if (this.#running >= PROGRAMS_MAX) {
      if (this.#waiting.length >= WAITING_MAX) return false;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    return true;
  }

  /** The exit code, or what went wrong. */
  #run(input: Buffer): Promise<number | string> {
    const [program = "", ...args] = this.#options.command;
    return new Promise((resolve) => {
      const child = spawn(program, args.length > 0 ? args : ["true"], {
        // It becomes the user: the log is not for him.
        stdio: ["ignore", "ignore", "pipe", "pipe"],
        timeout: PROGRAM_MS,
        killSignal: "SIGKILL",
      });
      child.on("error", (error) => resolve(error.message));
      const gone = this.#hearsay.listen(child.stdio[2] as Readable, basename(program));
      child.on("exit", (code, signal) => {
        void gone();
        resolve(code ?? `ended by ${signal}`);
      });
      const pipe = child.stdio[3] as Writable;
      // A program that leaves without reading says enough by its exit code.
      pipe.on("error", () => {});
      pipe.end(input);
    });
  }

  #verdict(result: number | string): Check {
    if (result === 0) return "ok";
    if (typeof result === "number" && result !== EXIT.soft) return "refused";
    const [program] = this.#options.command;
    const what = typeof result === "number" ? `exit code ${result}` : result;
    this.#options.warn(`cannot check a password with "${program}": ${what}`);
    return "temporary";
  }
}
