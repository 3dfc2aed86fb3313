/** Where the mail server is, for commands that work on an installed one. */

import { resolve } from "node:path";
import { type ConfigFlags, DEFAULT_HOME, loadInput } from "./config-file.ts";

/**
 * The qmail home that `flags`, the config file or the last install name. A config file is checked as a
 * whole; without one the check is not even loaded, which would take longer than many commands do.
 */
export async function loadHome(flags: ConfigFlags): Promise<string> {
  if (flags.home !== undefined) return resolve(flags.home);
  const { input, file } = await loadInput(flags);
  if (file === null) return resolve(input.home ?? DEFAULT_HOME);
  const { loadConfig } = await import("./config.ts");
  return (await loadConfig(flags)).home;
}
