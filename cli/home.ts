/** Where the mail server is, for commands that work on an installed one. */

import { resolve } from "node:path";
import { qmailHome } from "../qmail/home.ts";
import { type ConfigFlags, loadInput, namedConfig } from "./config-file.ts";

/**
 * The qmail home that `flags` or the environment name, else the config file, else the last install. A config file is
 * code: it is not run where the home is named, nor where it is only found and others could have written it. It is
 * checked as a whole; without one the check is not even loaded, which would take longer than many commands do.
 */
export async function loadHome(flags: ConfigFlags): Promise<string> {
  if (flags.home !== undefined) return resolve(flags.home);
  if (namedConfig(flags) === undefined && process.env.QMAILHOME) return resolve(qmailHome());
  const loaded = await loadInput(flags, { foundMayBeLeftOut: true });
  if (loaded.file === null) return resolve(loaded.input.home ?? qmailHome());
  const { completeConfig } = await import("./config.ts");
  return completeConfig(loaded, flags).home;
}
