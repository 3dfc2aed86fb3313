/** queue: what waits, and what is to become of it. One row an action. */

import { UsageError } from "../commands/output.ts";
import type { Action, ActionTable, OptionGroup, OptionRow } from "./actions.ts";
import { text, texts, wholeNumber } from "./arguments.ts";
import { confirmer } from "./confirm.ts";
import { common, type Flags } from "./flags.ts";
import { queueChanges } from "./queue-changes.ts";

const LOG: OptionRow = {
  flags: "--log <dir>",
  what: "Where qmail-send's log is (usual: that of the home)",
};

/** The selection language: which messages are meant (commands/queue/selection.ts). */
const SELECTION: OptionGroup = {
  title: "Which messages: all that is given must hold, of one thing given several times any",
  options: [
    { flags: "--from <address>", what: "Of this sender: * and ? as in file names, @x.org, <>" },
    { flags: "--to <address>", what: "With this recipient left" },
    { flags: "--domain <name>", what: "Of this sender's or recipient's domain" },
    { flags: "--subject <text>", what: "With this in its subject" },
    { flags: "--header <field>", what: "With this in a header field: 'List-Id: *.x.org'" },
    { flags: "--older <age>", what: "Older than 90s, 5m, 2h, 1d12h, 1w or a date" },
    { flags: "--younger <age>", what: "Younger than that" },
    { flags: "--larger <size>", what: "Larger than 500 (bytes), 20k, 1.5M" },
    { flags: "--smaller <size>", what: "Smaller than that" },
    { flags: "--state <word>", what: "todo, due, waiting, held, bouncing, done" },
    { flags: "--channel <word>", what: "With a recipient left that is local, or remote" },
    { flags: "--error <text>", what: "With this in the last error (from the log)" },
    { flags: "--tries <range>", what: "Tried 3, 3- (or more), -3 (or less), 2-5 times" },
    { flags: "--id <id>", what: "1234, 1000-2000, 12*; or simply as arguments" },
    LOG,
  ],
};

const YES: OptionRow = { flags: "--yes", what: "Do not ask" };

const JSON_LINES: OptionRow = { flags: "--json-lines", what: "Print a JSON document a line" };

const LIST: Action = {
  name: "list",
  words: "[ID...]",
  what: "Show what is in the queue",
  groups: [SELECTION],
  options: [
    { flags: "--sort <column>", what: "By age (usual), size, sender, recipients, next or id" },
    { flags: "--reverse", what: "The other way round" },
    { flags: "--limit <n>", what: "Only the first so many" },
    { flags: "--group <by>", what: "Count by domain, sender or error instead" },
    JSON_LINES,
  ],
  async run(words, flags) {
    const options = await selected(words, flags);
    const limit = flags.limit === undefined ? null : wholeNumber("limit", flags.limit, 0);
    const { sort = null } = text("sort", flags.sort);
    const { group } = text("group", flags.group);
    if (group !== undefined) {
      const { queueGroups } = await import("../commands/queue/groups.ts");
      await queueGroups({ ...options, by: group, limit });
      return;
    }
    const { queueList } = await import("../commands/queue/list.ts");
    await queueList({ ...options, sort, reverse: flags.reverse === true, limit, text: null });
  },
};

const SHOW: Action = {
  name: "show",
  words: "ID...",
  what: "Show all there is to know of a message: envelope, header, history",
  groups: [],
  options: [LOG],
  async run(ids, flags) {
    const { queueShow } = await import("../commands/queue/show.ts");
    queueShow({ ...(await common(flags)), ids, ...text("log", flags.log) });
  },
};

const CAT: Action = {
  name: "cat",
  words: "ID...",
  what: "Print a message as it lies in the queue; to a terminal without what would steer that",
  groups: [],
  options: [],
  async run(ids, flags) {
    const { queueCat } = await import("../commands/queue/cat.ts");
    const { home } = await common(flags);
    await queueCat({ home, ids, to: process.stdout, printable: process.stdout.isTTY === true });
  },
};

const SEARCH: Action = {
  name: "search",
  words: "[TEXT]",
  what: "Find messages by a text in envelope, header or body, or by the selection alone",
  groups: [SELECTION],
  options: [JSON_LINES],
  async run(words, flags) {
    const wanted = words.length > 0 ? words.join(" ") : null;
    const options = await selected([], flags);
    const { queueList } = await import("../commands/queue/list.ts");
    await queueList({ ...options, sort: null, reverse: false, limit: null, text: wanted });
  },
};

const STAT: Action = {
  name: "stat",
  words: "",
  what: "Count messages, states and ages, with the top domains, senders and errors",
  groups: [SELECTION],
  options: [{ flags: "--top <n>", what: "So many of each (usual: 10)" }],
  async run(_words, flags) {
    const { queueStat } = await import("../commands/queue/stat.ts");
    await queueStat({ ...(await selected([], flags)), top: wholeNumber("top", flags.top, 10) });
  },
};

const EXPORT: Action = {
  name: "export",
  words: "[ID...]",
  what: "Write messages to a file; they stay in the queue",
  groups: [SELECTION],
  options: [
    {
      flags: "--format <name>",
      what: "mbox (usual), tar (all of it, for import) or eml (a file each)",
    },
    { flags: "--output <file>", what: "A new file, for eml a directory (usual: standard output)" },
  ],
  async run(ids, flags) {
    const { queueExport } = await import("../commands/queue/export.ts");
    const { format = "mbox" } = text("format", flags.format);
    const { output: file = null } = text("output", flags.output);
    await queueExport({ ...(await selected(ids, flags)), format, file });
  },
};

const WATCH: Action = {
  name: "watch",
  words: "[ID...]",
  what: "Show messages that come, are tried and leave, as it happens; --json: a document a line",
  groups: [SELECTION],
  options: [{ flags: "--lines <n>", what: "So many of the last lines first (default: 10)" }],
  async run(words, flags) {
    const { queueWatch } = await import("../commands/queue/watch.ts");
    const none = text("lines", flags.lines).lines === "0";
    const lines = none ? 0 : wholeNumber("lines", flags.lines, 10);
    await queueWatch({ ...(await selected(words, flags)), lines });
  },
};

const IMPORT: Action = {
  name: "import",
  words: "[FILE]",
  what: "Queue again what export wrote as tar or mbox (without FILE: standard input)",
  groups: [],
  options: [
    { flags: "--dry-run", what: "Only say what there is" },
    { flags: "--skip <n>", what: "Leave out so many at the beginning, done before" },
  ],
  async run([file = null, ...more], flags) {
    if (more.length > 0) throw new UsageError("queue import takes one file");
    const { queueImport } = await import("../commands/queue/import.ts");
    await queueImport({
      ...(await common(flags)),
      file: file === "-" ? null : file,
      input: process.stdin,
      skip: wholeNumber("skip", flags.skip, 0),
      dryRun: flags.dryRun === true,
    });
  },
};

const CHECK: Action = {
  name: "check",
  words: "",
  what: "See whether all is right in the queue directory; exits with 1 when not",
  groups: [],
  options: [],
  async run(_words, flags) {
    const { queueCheck } = await import("../commands/queue/check.ts");
    await queueCheck(await common(flags));
  },
};

const REPAIR: Action = {
  name: "repair",
  words: "",
  what: "Put right what check finds, in a queue copied from elsewhere too; the mail server must be stopped",
  groups: [],
  options: [YES],
  async run(_words, flags) {
    const { queueRepair } = await import("../commands/queue/repair.ts");
    const asking = { yes: flags.yes === true, confirm: confirmer() };
    await queueRepair({ ...(await common(flags)), ...asking });
  },
};

/** The queue command with its actions. */
export const QUEUE: ActionTable = {
  command: "queue",
  what: "See and change what waits to be delivered",
  actions: [
    ...[LIST, SHOW, CAT, SEARCH, STAT, WATCH],
    ...queueChanges({ group: SELECTION, selected }),
    ...[EXPORT, IMPORT, CHECK, REPAIR],
  ],
  usual: "list",
  examples: [
    "qmailctl queue list --domain example.org --older 2h",
    "qmailctl queue list --error 'connection refused' --tries 3-",
    "qmailctl queue list --group error",
    "qmailctl queue show 1234",
    "qmailctl queue search invoice --from '*@example.org'",
    "qmailctl queue export --older 3d --format tar --output old.tar",
  ],
};

/** What every action with a selection takes: home, output, and which messages. */
async function selected(ids: readonly string[], flags: Flags) {
  return { ...(await common(flags)), selection: selection(ids, flags) };
}

/** The selection that `flags` and the arguments `ids` make. */
function selection(ids: readonly string[], flags: Flags) {
  const names = [
    ...["from", "to", "domain", "subject", "header", "older", "younger", "larger", "smaller"],
    ...["state", "channel", "error", "tries"],
  ];
  const given = names.flatMap((name) => {
    const values = texts(flags[name]);
    return values.length > 0 ? [[name, values] as const] : [];
  });
  const all = [...ids, ...texts(flags.id)];
  return {
    ...Object.fromEntries(given),
    ...(all.length > 0 ? { id: all } : {}),
    ...text("log", flags.log),
  };
}
