/** Finding and loading the config file. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { ConfigInput } from "../commands/config.ts";
import { installedConfig } from "../commands/install/step.ts";
import { CommandError, UsageError } from "../commands/output.ts";
import { distrust } from "../commands/trusted.ts";
import { EXIT } from "../qmail/exit.ts";
import { qmailHome } from "../qmail/home.ts";
import { importTyped } from "./import-typed.ts";

const FILE_NAME = "qmailctl.config.ts";

/** What the command line can say in place of the config file. */
export interface ConfigFlags {
  readonly config?: string;
  readonly home?: string;
  readonly host?: string;
  readonly sandbox?: boolean;
  readonly listen?: string;
}

export interface Loaded {
  readonly input: ConfigInput;
  /** Null when there is no config file. */
  readonly file: string | null;
}

/**
 * What the config file says, or what was installed last; not checked. One that was found in the working directory and
 * is not to be trusted is refused, or passed over when `foundMayBeLeftOut`. Throws CommandError.
 */
export async function loadInput(
  flags: ConfigFlags,
  { foundMayBeLeftOut = false }: { foundMayBeLeftOut?: boolean } = {},
): Promise<Loaded> {
  const named = namedConfig(flags);
  const file = resolve(named ?? FILE_NAME);
  const installed = () => ({
    input: installedConfig(resolve(flags.home ?? qmailHome())),
    file: null,
  });
  if (!existsSync(file)) {
    if (named === undefined) return installed();
    const by = flags.config === undefined ? "QMAILCTL_CONFIG" : "--config";
    throw new UsageError(`there is no config file "${file}" (named by ${by})`);
  }
  const why = distrust(file);
  if (why === null) return { input: await importConfig(file), file };
  if (named !== undefined || !foundMayBeLeftOut) throw untrusted(file, why);
  process.stderr.write(
    `qmailctl: warning: ${file} is passed over: it is not to be trusted: ${why}\n`,
  );
  return installed();
}

/** The config file that the user names; undefined: the one that is found, or none. */
export function namedConfig(flags: ConfigFlags): string | undefined {
  return flags.config ?? (process.env.QMAILCTL_CONFIG || undefined);
}

/** A config file is code. */
function untrusted(file: string, why: string): CommandError {
  const who = process.geteuid?.() === 0 ? "root" : "you";
  const owners = who === "root" ? "root" : "root and you";
  return new CommandError(`cannot trust the config file "${file}": ${why}`, {
    code: EXIT.hard,
    hints: [
      `it is a program that would run as ${who}: only ${owners} may be able to write it and the directories above it`,
      `put it into a directory of ${who === "root" ? "root's, as /etc/qmailctl" : "your own"}, and name it: --config FILE`,
      "or take the rights of others away: chmod go-w FILE DIRECTORY",
    ],
  });
}

async function importConfig(file: string): Promise<ConfigInput> {
  let module: { default?: ConfigInput };
  try {
    module = await importTyped(file);
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
