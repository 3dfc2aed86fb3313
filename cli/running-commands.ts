/** start, stop and the other verbs of a running mail server. */

import type { CAC } from "cac";
import { seconds, texts } from "./arguments.ts";
import { common, type Flags } from "./flags.ts";

/** Adds the commands that start, stop and steer the daemons. */
export function runningCommands(cli: CAC): void {
  cli
    .command("start", "Start the mail server")
    .option("--foreground", "Stay, until told to stop")
    .action(async (flags: Flags) => {
      const { start } = await import("../commands/start.ts");
      await start({ ...(await common(flags)), foreground: flags.foreground === true });
    });
  cli
    .command("stop", "Stop it; a delivery whose other side says nothing waits for the next start")
    .action(async (flags: Flags) => {
      const { stop } = await import("../commands/stop.ts");
      await stop(await common(flags));
    });
  cli.command("restart", "Stop and start").action(async (flags: Flags) => {
    const { restart } = await import("../commands/restart.ts");
    await restart(await common(flags));
  });
  cli
    .command("status", "Show processes and queue; exits with 3 when nothing runs")
    .alias("stat")
    .action(async (flags: Flags) => {
      const { status } = await import("../commands/status.ts");
      await status(await common(flags));
    });
  cli
    .command("top", "Watch what the mail server is doing, live; --once: one look as text")
    .option("--once", "Show it once and end; with --json one document")
    .option("--interval <seconds>", "Look again after so many seconds (default: 2)")
    .option(
      "--file <path>",
      "This log instead of the installation's: a file or directory (may be repeated)",
    )
    .action(async (flags: Flags) => {
      const { top } = await import("../commands/top.ts");
      await top({
        ...(await common(flags)),
        once: flags.once === true,
        interval: seconds("interval", flags.interval, 2) * 1000,
        files: texts(flags.file),
      });
    });
  cli
    .command("flush", "Try everything in the queue now")
    .alias("doqueue")
    .action(async (flags: Flags) => {
      const { flush } = await import("../commands/signal.ts");
      await flush(await common(flags));
    });
  cli
    .command("cdb", "Compile the rules of who may connect (control/tcp.smtp)")
    .action(async (flags: Flags) => {
      const { cdb } = await import("../commands/cdb.ts");
      await cdb(await common(flags));
    });
  cli
    .command("reload", "Read locals, virtualdomains and the SMTP controls again")
    .alias("hup")
    .action(async (flags: Flags) => {
      const { reload } = await import("../commands/signal.ts");
      await reload(await common(flags));
    });
  cli
    .command("pause", "Hold everything as it is: connections wait, nothing leaves")
    .action(async (flags: Flags) => {
      const { pause } = await import("../commands/signal.ts");
      await pause(await common(flags));
    });
  cli
    .command("cont", "Go on after a pause")
    .alias("continue")
    .action(async (flags: Flags) => {
      const { cont } = await import("../commands/signal.ts");
      await cont(await common(flags));
    });
}
