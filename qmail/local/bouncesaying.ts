/** bouncesaying(1): in a .qmail file, bounces the message, or only when a program says so. */

import { writeSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { exitWith, type Outcome, refused } from "../inject/context.ts";
import { succeeds } from "./child.ts";

/** Runs bouncesaying; `say` gets the text of the bounce. */
export async function bouncesaying(
  args: readonly string[],
  say: (text: string) => void,
): Promise<Outcome> {
  const [text, ...program] = args;
  if (text === undefined) return refused("usage: bouncesaying error [ program [ arg ... ] ]");
  const result = program.length === 0 || (await succeeds(program));
  if (typeof result !== "boolean") return result;
  if (!result) return { code: EXIT.ok, message: "" };
  say(`${text}\n`);
  return { code: EXIT.hard, message: "" };
}

if (import.meta.main) {
  const say = (text: string) => void writeSync(2, text);
  exitWith("bouncesaying", await bouncesaying(process.argv.slice(2), say));
}
