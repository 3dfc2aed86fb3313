/** except(1): in a .qmail file, turns the exit code of a program round. */

import { EXIT } from "../exit.ts";
import { exitWith, type Outcome, refused } from "../inject/context.ts";
import { succeeds } from "./child.ts";

/** Runs the program `args`. */
export async function except(args: readonly string[]): Promise<Outcome> {
  if (args.length === 0) return refused("usage: except program [ arg ... ]");
  const result = await succeeds(args);
  if (typeof result !== "boolean") return result;
  return { code: result ? EXIT.hard : EXIT.ok, message: "" };
}

if (import.meta.main) exitWith("except", await except(process.argv.slice(2)));
