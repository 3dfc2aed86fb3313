/** What cac hands to an action, brought into the form that commands take. */

import { text } from "./arguments.ts";
import type { ConfigFlags } from "./config-file.ts";
import { loadHome } from "./home.ts";
import { makeOutput } from "./output.ts";

/** Flags by name, numbers marked as text (arguments.ts). */
export type Flags = Readonly<Record<string, unknown>>;

/** What almost every command takes: the qmail home and where its output goes. */
export async function common(flags: Flags) {
  const lines = flags.jsonLines === true;
  const output = makeOutput(flags.json === true || lines, { lines });
  return { home: await loadHome(configFlags(flags)), output };
}

/** The flags that override the config file. */
export function configFlags(flags: Flags): ConfigFlags {
  return {
    ...text("config", flags.config),
    ...text("home", flags.home),
    ...text("host", flags.host),
    ...text("listen", flags.listen),
    ...(flags.sandbox === undefined ? {} : { sandbox: flags.sandbox === true }),
  };
}
