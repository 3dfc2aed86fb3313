/** log: what the daemons said. One row an action. */

import type { Action, ActionTable, OptionGroup, OptionRow } from "./actions.ts";
import { text, texts, wholeNumber } from "./arguments.ts";
import { common, type Flags } from "./flags.ts";

const SOURCES: OptionGroup = {
  title: "Which log (default: all of the mail server's)",
  options: [
    { flags: "--service <name>", what: "Only this service" },
    {
      flags: "--file <path>",
      what: "This file or directory, - for standard input (may be repeated)",
    },
    { flags: "--journal <unit>", what: "What the systemd journal has of this unit or identifier" },
  ],
};

/** The fields of a selection (commands/log/select.ts). */
const SELECTION: readonly OptionRow[] = [
  { flags: "--from <address>", what: "Of this sender: * and ? as in file names" },
  { flags: "--to <address>", what: "Deliveries to this recipient" },
  { flags: "--domain <name>", what: "Of this sender's or recipient's domain" },
  { flags: "--id <number>", what: "Of this message" },
  { flags: "--qp <number>", what: "Of the message queued under this number" },
  {
    flags: "--result <word>",
    what: "success, failure, deferral; accepted, refused, denied, login, login-failed",
  },
  { flags: "--client <ip>", what: "What a door says of this client" },
  { flags: "--user <login>", what: "What a door says of this login" },
  { flags: "--since <time>", what: "Not before; 2h is two hours ago" },
  { flags: "--until <time>", what: "Not after" },
  { flags: "--grep <pattern>", what: "Lines that match a regular expression" },
];

const SHOW: Action = {
  name: "show",
  words: "",
  what: "Show what the daemons say, or chosen lines of it",
  groups: [SOURCES, { title: "Which lines: all that is given must hold", options: SELECTION }],
  options: [
    { flags: "--follow", what: "Go on showing what comes" },
    {
      flags: "--lines <n>",
      what: "The last n lines (default: 50; with a selection or --file all)",
    },
  ],
  async run(_, flags) {
    const options = { ...(await common(flags)), ...sources(flags) };
    const { log, show } = await import("../commands/log.ts");
    const selection = selectionOf(flags);
    const follow = flags.follow === true;
    const chosen = Object.keys(selection).length + options.files.length > 0 || "journal" in options;
    if (!chosen && !follow) {
      log({ ...options, lines: wholeNumber("lines", flags.lines, 50) });
      return;
    }
    const { showChosen } = await import("../commands/log/show.ts");
    const all = follow ? wholeNumber("lines", flags.lines, 50) : 0;
    const lines = flags.lines === undefined ? all : wholeNumber("lines", flags.lines, 50);
    await showChosen({ ...options, selection, follow, lines }, (line) =>
      show(line, options.output),
    );
  },
};

const TRACE: Action = {
  name: "trace",
  words: "WHAT",
  what: "Follow a message from connection to last delivery: by number, qp, Message-ID, address, login, client",
  groups: [SOURCES],
  options: [],
  async run(words, flags) {
    const { logTrace } = await import("../commands/log/trace.ts");
    await logTrace({ ...(await common(flags)), ...sources(flags), what: words.join(" ") });
  },
};

const REPORT: Action = {
  name: "report",
  words: "[TABLE...]",
  what: "Statistics, in our form or, by the names of qmailanalog's z-programs, in theirs",
  groups: [SOURCES],
  options: [
    { flags: "--top <n>", what: "So many rows of each table (default: 20; of a z-program's all)" },
    { flags: "--csv", what: "As comma-separated values" },
    { flags: "--html <file>", what: "As a page with plots" },
  ],
  async run(words, flags) {
    const { logReport } = await import("../commands/log/report.ts");
    await logReport({
      ...(await common(flags)),
      ...sources(flags),
      ...text("html", flags.html),
      ...(flags.top === undefined ? {} : { top: wholeNumber("top", flags.top, 20) }),
      what: words,
      csv: flags.csv === true,
    });
  },
};

const EXPLAIN: Action = {
  name: "explain",
  words: "TEXT",
  what: "What a line, a text or a code means, why it comes, what to run next",
  groups: [],
  options: [],
  async run(words, flags) {
    const { logExplain } = await import("../commands/log/explain.ts");
    logExplain({ words, output: (await common(flags)).output });
  },
};

const PROBLEMS: Action = {
  name: "problems",
  words: "",
  what: "What deserves attention; exits with 1 when something does",
  groups: [SOURCES],
  options: [],
  async run(_, flags) {
    const { logProblems } = await import("../commands/log/problems.ts");
    await logProblems({ ...(await common(flags)), ...sources(flags) });
  },
};

/** The log command with its actions. */
export const LOG: ActionTable = {
  command: "log",
  what: "Show, trace, count and explain what the daemons say",
  actions: [SHOW, TRACE, REPORT, EXPLAIN, PROBLEMS],
  usual: "show",
  examples: [
    "qmailctl log --follow --from 'ann@*'",
    "qmailctl log report --html report.html",
    "qmailctl log explain 4.2.1",
    "qmailctl log report zsenders zrhosts --file /var/log/mail.log",
  ],
};

function sources(flags: Flags) {
  return {
    ...text("service", flags.service),
    ...text("journal", flags.journal),
    files: texts(flags.file),
  };
}

function selectionOf(flags: Flags) {
  const names = ["from", "to", "domain", "id", "qp", "result", "client", "user"] as const;
  const more = ["since", "until", "grep"] as const;
  return Object.assign({}, ...[...names, ...more].map((name) => text(name, flags[name])));
}
