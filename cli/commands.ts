/** The command table. Each action brings its options into form, loads its command, and calls it. */

import { readFileSync } from "node:fs";
import { type CAC, cac } from "cac";
import { UsageError } from "../commands/output.ts";
import { EXIT } from "../qmail/exit.ts";
import { protect, text, texts, wholeNumber } from "./arguments.ts";
import { type ConfigFlags, loadConfig, loadHome } from "./config.ts";
import { commandNames, describeHelp, showHelp } from "./help.ts";
import { misuse, unknown } from "./mistakes.ts";
import { makeOutput } from "./output.ts";

/** What cac hands to an action: flags, numbers marked as text (arguments.ts). */
type Flags = Readonly<Record<string, unknown>>;

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
  mailCommands(cli);
  userCommands(cli);
  cli
    .command("help [command]", "Show what there is, or what a command does")
    .action((command?: string) => showHelp(cli, command));
  describeHelp(cli, version());
  cli.version(version());
  return cli;
}

function installCommands(cli: CAC): void {
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
      const config = await loadConfig(configFlags(flags));
      const { tryOut } = await import("../commands/try.ts");
      await tryOut({ config, output: makeOutput(flags.json === true) });
    });
}

function runningCommands(cli: CAC): void {
  cli
    .command("start", "Start the mail server")
    .option("--foreground", "Stay, until told to stop")
    .action(async (flags: Flags) => {
      const { start } = await import("../commands/start.ts");
      await start({ ...(await common(flags)), foreground: flags.foreground === true });
    });
  cli
    .command("stop", "Stop it, letting deliveries under way finish")
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

function userCommands(cli: CAC): void {
  cli
    .command(
      "user <action> [login]",
      "add, passwd, del, list: logins of users who are not the system's",
    )
    .option("--as <user>", "add: the system user whose the mailbox is (default: alias)")
    .option(
      "--mailhome <dir>",
      "add: where the Maildir is (default: in ~alias, by the login's name)",
    )
    .option("--scram", "add, passwd: keep keys for SCRAM-SHA-256 as well")
    .option("--cram", "add, passwd: keep the password itself, for CRAM-MD5 and APOP")
    .example("  echo secret | qmailctl user add joe@example.com")
    .action(async (action: string, login: string | undefined, flags: Flags) => {
      const user = await import("../commands/user.ts");
      const options = await common(flags);
      if (action === "list") return await user.userList(options);
      if (!["add", "passwd", "del"].includes(action)) {
        throw unknown("user action", action, ["add", "passwd", "del", "list"]);
      }
      if (login === undefined) throw new UsageError(`user ${action} needs a login`);
      const named = { ...options, login: String(login) };
      if (action === "del") return await user.userDel(named);
      const secret = {
        ...named,
        terminal: { input: process.stdin, output: process.stderr },
        scram: flags.scram === true,
        cram: flags.cram === true,
      };
      if (action === "passwd") return await user.userPasswd(secret);
      await user.userAdd({
        ...secret,
        ...text("as", flags.as),
        ...text("mailhome", flags.mailhome),
      });
    });
}

function mailCommands(cli: CAC): void {
  cli
    .command("queue [action]", "list: show what is in the queue")
    .action(async (action: string | undefined, flags: Flags) => {
      if (action !== undefined && action !== "list")
        throw unknown("queue action", action, ["list"]);
      const { queueList } = await import("../commands/queue/list.ts");
      await queueList(await common(flags));
    });
  cli
    .command(
      "log [action] [...what]",
      "Show what the daemons say; report: statistics; explain: a line or code",
    )
    .option("--follow", "Go on showing what comes")
    .option("--lines <n>", "So many lines (default: 50)")
    .option("--service <name>", "Only this service")
    .option("--from <address>", "show: of this sender, * and ? as in file names")
    .option("--to <address>", "show: deliveries to this recipient")
    .option("--domain <name>", "show: of this sender's or recipient's domain")
    .option("--id <number>", "show: of this message")
    .option("--result <word>", "show: deliveries with success, failure or deferral")
    .option("--since <time>", "show: not before; 2h is two hours ago")
    .option("--until <time>", "show: not after")
    .option("--grep <pattern>", "show: lines that match a regular expression")
    .option("--file <path>", "This file or directory, - for standard input (may be repeated)")
    .option("--journal <unit>", "What the systemd journal has of this unit or identifier")
    .option("--top <n>", "report: so many rows of each table (default: 20)")
    .option("--csv", "report: as comma-separated values")
    .option("--html <file>", "report: as a page with plots")
    .example("  qmailctl log report --html report.html")
    .example("  qmailctl log explain 4.2.1")
    .example("  qmailctl log report senders rhosts --file /var/log/mail.log")
    .action(logAction);
  cli
    .command("explain <address>", "Say what would become of mail for an address, and why")
    .example("  qmailctl explain joe-list@mail.example.com")
    .action(async (address: string, flags: Flags) => {
      const { explain } = await import("../commands/explain.ts");
      await explain({ ...(await common(flags)), address: String(address) });
    });
  cli
    .command("send [...to]", "Send a message: built from flags, or read from standard input")
    .option("--from <address>", "The sender")
    .option("--to <address>", "A recipient (may be repeated)")
    .option("--subject <text>", "The subject")
    .option("--body <text>", "The text (default: standard input)")
    .option("--trace", "Send a test message past the queue, showing all that happens")
    .example("  qmailctl send --to you@mail.example.com --subject hello --body 'hello there'")
    .action(async (to: readonly string[], flags: Flags) => {
      if (flags.trace === true) return traceOne([...to, ...texts(flags.to)], flags);
      const { send } = await import("../commands/send.ts");
      const options = await common(flags);
      if (process.stdin.isTTY && flags.body === undefined) {
        options.output.note("Write the message; Ctrl-D ends it.");
      }
      await send({
        ...options,
        to: [...texts(to), ...texts(flags.to)],
        input: process.stdin,
        ...text("from", flags.from),
        ...text("subject", flags.subject),
        ...text("body", flags.body),
      });
    });
}

async function traceOne(to: readonly string[], flags: Flags): Promise<void> {
  const [address, ...more] = to;
  if (address === undefined || more.length > 0) throw new UsageError("--trace needs one address");
  const { trace } = await import("../commands/trace.ts");
  await trace({ ...(await common(flags)), to: address, ...text("from", flags.from) });
}

async function logAction(
  action: string | undefined,
  what: readonly string[],
  flags: Flags,
): Promise<void> {
  const options = await common(flags);
  const service = text("service", flags.service);
  if (action === "report") {
    const { logReport } = await import("../commands/log/report.ts");
    await logReport({
      ...options,
      ...service,
      ...text("journal", flags.journal),
      ...text("html", flags.html),
      files: texts(flags.file),
      what: texts(what),
      top: wholeNumber("top", flags.top, 20),
      csv: flags.csv === true,
    });
    return;
  }
  if (action === "explain") {
    const { logExplain } = await import("../commands/log/explain.ts");
    logExplain({ words: texts(what), output: options.output });
    return;
  }
  if (action === "problems") {
    const { logProblems } = await import("../commands/log/problems.ts");
    await logProblems({
      ...options,
      ...service,
      ...text("journal", flags.journal),
      files: texts(flags.file),
    });
    return;
  }
  if (action === "trace") {
    const { logTrace } = await import("../commands/log/trace.ts");
    await logTrace({
      ...options,
      ...service,
      ...text("journal", flags.journal),
      files: texts(flags.file),
      what: texts(what).join(" "),
    });
    return;
  }
  if (action !== undefined && action !== "show") {
    throw unknown("log action", action, ["show", "trace", "report", "explain", "problems"]);
  }
  const { log, show } = await import("../commands/log.ts");
  const selection = {
    ...text("from", flags.from),
    ...text("to", flags.to),
    ...text("domain", flags.domain),
    ...text("id", flags.id),
    ...text("result", flags.result),
    ...text("since", flags.since),
    ...text("until", flags.until),
    ...text("grep", flags.grep),
  };
  const files = texts(flags.file);
  if (files.length > 0 || flags.journal !== undefined || Object.keys(selection).length > 0) {
    if (flags.follow === true) {
      throw new UsageError("--follow shows all that comes: it goes with --service alone");
    }
    const { showChosen } = await import("../commands/log/show.ts");
    const { output } = options;
    await showChosen(
      {
        ...options,
        ...service,
        ...text("journal", flags.journal),
        files,
        selection,
        lines: flags.lines === undefined ? 0 : wholeNumber("lines", flags.lines, 0),
      },
      (line) => show(line, output, true),
    );
    return;
  }
  await log({
    ...options,
    ...service,
    follow: flags.follow === true,
    lines: wholeNumber("lines", flags.lines, 50),
  });
}

async function common(flags: Flags) {
  return { home: await loadHome(configFlags(flags)), output: makeOutput(flags.json === true) };
}

function configFlags(flags: Flags): ConfigFlags {
  return {
    ...text("config", flags.config),
    ...text("home", flags.home),
    ...text("host", flags.host),
    ...text("listen", flags.listen),
    ...(flags.sandbox === undefined ? {} : { sandbox: flags.sandbox === true }),
  };
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
