/**
 * Fixes taken out, one at a time, of a compiled mail system: each of them the orders mode must find. A snippet that is
 * not there any more is an error: the fix has moved, and its mutation must follow it.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OrderOptions } from "./orders.ts";
import type { Build } from "./site.ts";

/** What is changed, and what must be the matter for that to show. */
export interface Mutation {
  readonly edits: readonly Edit[];
  readonly options: Partial<OrderOptions>;
}

interface Edit {
  /** File below qmail/, as it is compiled. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const HOLDS = { holds: 60 };
const STALLS = { holds: 5, kills: true, waits: 40 };
const FAILURES = { holds: 30, failures: 150 };
const ACTIONS = { holds: 60, actions: 5 };

/** By the name of what is taken out. Where one fix stands behind another both go: alone nobody would miss it. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "a removal waits for the intake": {
    edits: [{ file: "queue/removal.js", find: "await message.over;", replace: "break;" }],
    options: HOLDS,
  },
  "who knows a message does not take it again": {
    edits: [{ file: "send/todo.js", find: "known(message.id, message.made)", replace: "false" }],
    options: HOLDS,
  },
  "each message has its own MADE": {
    edits: [
      {
        file: "queue/made.js",
        find: "futimesSync(fd, made / 1e6, made / 1e6);",
        replace: "",
      },
    ],
    options: ACTIONS,
  },
  "a removal stops at what does not go": {
    edits: [
      { file: "queue/removal.js", find: 'if (code !== "ENOENT")', replace: "if (false)" },
      {
        file: "queue/intake.js",
        find: "if (statSync(todo, { throwIfNoEntry: false }))",
        replace: "if (false)",
      },
    ],
    options: FAILURES,
  },
  "what could not be removed is tried again": {
    edits: [
      {
        file: "send/removals.js",
        find: "let done = await first;",
        replace: "let done = (await first, true);",
      },
    ],
    options: FAILURES,
  },
  "what could not be written down is remembered": {
    edits: [{ file: "send/settling.js", find: "this.#remember(message);", replace: "" }],
    options: FAILURES,
  },
  "what qmail-send knows is not taken back": {
    edits: [
      {
        file: "queue/intake.js",
        find: "if (await retract?.({ id, made })) {",
        replace: "if (true) {",
      },
    ],
    options: { ...FAILURES, failures: 1000, waits: 30 },
  },
  "no spawner outlives its qmail-send": {
    edits: [
      { file: "qmail-start.js", find: '"pipe", mutex]', replace: '"pipe"]' },
      { file: "spawn/spawner.js", find: "if (madeOf(stat) !== made)", replace: "if (false)" },
    ],
    options: { ...STALLS, stalled: "qmail-lspawn" },
  },
};

/** A copy of `build` without the fix `name`. */
export function without(build: Build, name: string): Build {
  const mutation = MUTATIONS[name];
  if (!mutation) throw new Error(`no mutation "${name}"`);
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-torture-without-"));
  cpSync(build.directory, directory, { recursive: true });
  for (const edit of mutation.edits) change(join(directory, "qmail", edit.file), edit);
  return {
    directory,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function change(path: string, { find, replace }: Edit): void {
  const parts = readFileSync(path, "utf8").split(find);
  if (parts.length !== 2) throw new Error(`"${find}" is ${parts.length - 1} times in ${path}`);
  writeFileSync(path, parts.join(replace));
}
