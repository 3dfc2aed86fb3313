/** log: what the daemons said. */

import type { CAC } from "cac";
import { UsageError } from "../commands/output.ts";
import { text, texts, wholeNumber } from "./arguments.ts";
import { common, type Flags } from "./flags.ts";
import { unknown } from "./mistakes.ts";

/** Adds the log command with its actions. */
export function logCommands(cli: CAC): void {
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
