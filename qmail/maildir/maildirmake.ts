/** maildirmake(1): makes a Maildir. */

import { mkdirSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { exitWith, type Outcome, refused } from "../inject/context.ts";
import { systemText } from "../local/failure.ts";

/** Makes the Maildir `args[0]`, for its owner alone. */
export function maildirmake(args: readonly string[]): Outcome {
  const name = args[0];
  if (name === undefined) return refused("usage: maildirmake name");
  for (const path of [name, `${name}/tmp`, `${name}/new`, `${name}/cur`]) {
    try {
      mkdirSync(path, 0o700);
    } catch (error) {
      return { code: EXIT.soft, message: `unable to mkdir ${path}: ${systemText(error)}` };
    }
  }
  return { code: EXIT.ok, message: "" };
}

if (import.meta.main) {
  process.umask(0o077);
  exitWith("maildirmake", maildirmake(process.argv.slice(2)));
}
