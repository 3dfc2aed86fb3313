/**
 * Fixes taken out, one at a time, of a compiled mail system: each of them the orders mode must find. A snippet that is
 * not there any more is said so: the fix has moved, and its mutation must follow it.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OrderOptions } from "./orders.ts";
import type { Build } from "./site.ts";

/** Source taken out or changed, and what must be the matter for its want to show. */
export interface Mutation {
  /** File below qmail/, as it is compiled. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly options: Partial<OrderOptions>;
}

const HOLDS = { holds: 60 };
const KILLS = { holds: 30, kills: true };
const FAILURES = { holds: 30, failures: 150 };
const ACTIONS = { holds: 60, actions: 5 };

/** By the name of what is taken out. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "an intake keeps its files open": {
    file: "queue/intake.js",
    find: "await this.#syncTodo(queued);",
    replace:
      "for (const fd of [this.#messFd, this.#intdFd]) closeSync(fd);" +
      "this.#messFd = this.#intdFd = -1; await this.#syncTodo(queued);",
    options: HOLDS,
  },
  "a removal waits for the intake": {
    file: "queue/removal.js",
    find: "await message.over;",
    replace: "break;",
    options: HOLDS,
  },
  "a removal is of that message": {
    file: "queue/removal.js",
    find: "if (mess && madeOf(mess) !== made)",
    replace: "if (false)",
    options: KILLS,
  },
  "a removal stops at what does not go": {
    file: "queue/removal.js",
    find: 'if (code !== "ENOENT")',
    replace: "if (false)",
    options: FAILURES,
  },
  "a number that todo knows is not taken": {
    file: "queue/intake.js",
    find: "if (statSync(todo, { throwIfNoEntry: false }))",
    replace: "if (false)",
    options: FAILURES,
  },
  "a spawner looks which message it is": {
    file: "spawn/spawner.js",
    find: "if (madeOf(stat) !== made)",
    replace: "if (false)",
    options: KILLS,
  },
  "the lock is shared": {
    file: "qmail-start.js",
    find: '"pipe", mutex]',
    replace: '"pipe"]',
    options: KILLS,
  },
  "each message has its own MADE": {
    file: "queue/made.js",
    find: "futimesSync(fd, made / 1e6, made / 1e6);",
    replace: "",
    options: ACTIONS,
  },
  "what qmail-send knows is not taken back": {
    file: "queue/intake.js",
    find: "if (await retract?.({ id, made })) {",
    replace: "if (true) {",
    options: FAILURES,
  },
  "what could not be removed is tried again": {
    file: "send/removals.js",
    find: "let done = await first;",
    replace: "let done = (await first, true);",
    options: FAILURES,
  },
  "what could not be written down is remembered": {
    file: "send/settling.js",
    find: "this.#remember(message);",
    replace: "",
    options: FAILURES,
  },
  "who knows a message does not take it again": {
    file: "send/todo.js",
    find: "known(message.id, message.made)",
    replace: "false",
    options: HOLDS,
  },
};

/** A copy of `build` without the fix `name`. */
export function without(build: Build, name: string): Build {
  const mutation = MUTATIONS[name];
  if (!mutation) throw new Error(`no mutation "${name}"`);
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-torture-without-"));
  cpSync(build.directory, directory, { recursive: true });
  const path = join(directory, "qmail", mutation.file);
  const parts = readFileSync(path, "utf8").split(mutation.find);
  if (parts.length !== 2)
    throw new Error(`"${name}": its snippet is ${parts.length - 1} times in ${path}`);
  writeFileSync(path, parts.join(mutation.replace));
  return {
    directory,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
