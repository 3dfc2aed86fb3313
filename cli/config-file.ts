/** Finding and loading the config file. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ConfigInput } from "../commands/config.ts";
import { installedConfig } from "../commands/install/step.ts";
import { CommandError, UsageError } from "../commands/output.ts";
import { EXIT } from "../qmail/exit.ts";

const FILE_NAME = "qmailctl.config.ts";

/** Where a mail server is when nobody says otherwise. */
export const DEFAULT_HOME = "/var/qmail";

/** What the command line can say in place of the config file. */
export interface ConfigFlags {
  readonly config?: string;
  readonly home?: string;
  readonly host?: string;
  readonly sandbox?: boolean;
  readonly listen?: string;
}

interface Loaded {
  readonly input: ConfigInput;
  /** Null when there is no config file. */
  readonly file: string | null;
}

/** What the config file says, or what was installed last; not checked. Throws CommandError. */
export async function loadInput(flags: ConfigFlags): Promise<Loaded> {
  const named = flags.config ?? (process.env.QMAILCTL_CONFIG || undefined);
  const file = resolve(named ?? FILE_NAME);
  if (!existsSync(file)) {
    if (named === undefined) {
      return { input: installedConfig(resolve(flags.home ?? DEFAULT_HOME)), file: null };
    }
    const by = flags.config === undefined ? "QMAILCTL_CONFIG" : "--config";
    throw new UsageError(`there is no config file "${file}" (named by ${by})`);
  }
  return { input: await importConfig(file), file };
}

async function importConfig(file: string): Promise<ConfigInput> {
  let module: { default?: ConfigInput };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    throw new CommandError(`cannot load ${file}: ${(error as Error).message}`, {
      code: EXIT.hard,
      cause: error,
    });
  }
  if (module.default === undefined) {
    throw new CommandError(`${file} exports no config`, {
      code: EXIT.hard,
      hints: ["write: export default defineConfig({ ... })"],
    });
  }
  return module.default;
}
