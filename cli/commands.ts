/** The command table. Each action brings its options into form, loads its command, and calls it; the rows lie in *-commands.ts. */

import { readFileSync } from "node:fs";
import { type CAC, cac } from "cac";
import { EXIT } from "../qmail/exit.ts";
import { actionCommand } from "./actions.ts";
import { protect, texts } from "./arguments.ts";
import { commandNames, describeHelp, showHelp } from "./help.ts";
import { installCommands } from "./install-commands.ts";
import { LOG } from "./log-commands.ts";
import { mailCommands } from "./mail-commands.ts";
import { misuse, unknown } from "./mistakes.ts";
import { QUEUE } from "./queue-commands.ts";
import { runningCommands } from "./running-commands.ts";
import { userCommands } from "./user-commands.ts";

/** Runs the command line `args`. Resolves with the exit code; throws CommandError. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const cli = table();
  try {
    cli.parse(["node", "qmailctl", ...protect(args)], { run: false });
    if (cli.options.help || cli.options.version) return EXIT.ok;
    if (!cli.matchedCommand) noCommand(cli);
    else await cli.runMatchedCommand();
  } catch (error) {
    if ((error as Error).name === "CACError") throw misuse(cli, error as Error);
    throw error;
  }
  return Number(process.exitCode ?? EXIT.ok);
}

function table(): CAC {
  const cli = cac("qmailctl");
  cli.option(
    "--config <file>",
    "The config file (default: qmailctl.config.ts here, if there is one)",
  );
  cli.option("--home <dir>", "The qmail home (default: the config file's, else /var/qmail)");
  cli.option("--json", "Print one JSON document");
  installCommands(cli);
  runningCommands(cli);
  actionCommand(cli, QUEUE);
  actionCommand(cli, LOG);
  mailCommands(cli);
  userCommands(cli);
  cli
    .command("help [command] [action]", "Show what there is, or what a command does")
    .action((command?: string) => showHelp(cli, command));
  describeHelp(cli, version(), [QUEUE, LOG]);
  cli.version(version());
  return cli;
}

function noCommand(cli: CAC): void {
  const [word] = texts(cli.args);
  if (word !== undefined) throw unknown("command", word, commandNames(cli));
  showHelp(cli, undefined);
}

/** Sources lie one level below package.json, compiled files two. */
function version(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).version;
    } catch {
      // Not there: the other.
    }
  }
  return "unknown";
}
