/** install, try. */

import type { CAC } from "cac";
import { configFlags, type Flags } from "./flags.ts";
import { makeOutput } from "./output.ts";

/** Adds the commands that make an installation. */
export function installCommands(cli: CAC): void {
  cli
    .command("install", "Install a mail server, or bring one to what the config says")
    .option("--host <name>", "The host's full name")
    .option("--sandbox", "Everything under --home, as yourself, without root")
    .option("--listen <address:port>", "Where SMTP listens")
    .option("--dry-run", "Only show what would change")
    .option("--force", "Overwrite files that were edited by hand")
    .option("--yes", "For scripts; install never asks anyway")
    .example("  qmailctl install --host mail.example.com")
    .action(async (flags: Flags) => {
      const { loadConfig } = await import("./config.ts");
      const config = await loadConfig(configFlags(flags));
      const { install } = await import("../commands/install.ts");
      await install({
        config,
        dryRun: flags.dryRun === true,
        force: flags.force === true,
        output: makeOutput(flags.json === true),
      });
    });
  cli
    .command("try", "Install a sandbox, start it, and send it a first message")
    .action(async (flags: Flags) => {
      const { loadConfig } = await import("./config.ts");
      const config = await loadConfig(configFlags(flags));
      const { tryOut } = await import("../commands/try.ts");
      await tryOut({ config, output: makeOutput(flags.json === true) });
    });
}
