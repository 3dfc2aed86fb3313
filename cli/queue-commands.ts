/** queue: what waits, and what is to become of it. One row an action. */

import type { Action, ActionTable, OptionGroup, OptionRow } from "./actions.ts";
import { text, texts } from "./arguments.ts";
import { confirmer } from "./confirm.ts";
import { common, type Flags } from "./flags.ts";
import { queueChanges } from "./queue-changes.ts";

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
    { flags: "--state <word>", what: "todo, due, waiting, bouncing, done" },
    { flags: "--channel <word>", what: "With a recipient left that is local, or remote" },
    { flags: "--error <text>", what: "With this in the last error (from the log)" },
    { flags: "--tries <range>", what: "Tried 3, 3- (or more), -3 (or less), 2-5 times" },
    { flags: "--id <id>", what: "1234, 1000-2000, 12*; or simply as arguments" },
    { flags: "--log <dir>", what: "Where qmail-send's log is (default: that of the home)" },
  ],
};

const YES: OptionRow = { flags: "--yes", what: "Do not ask" };

const LIST: Action = {
  name: "list",
  words: "[ID...]",
  what: "Show what is in the queue",
  groups: [SELECTION],
  options: [],
  async run(words, flags) {
    const { queueList } = await import("../commands/queue/list.ts");
    await queueList({ ...(await selected(words, flags)) });
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
  actions: [LIST, ...queueChanges({ group: SELECTION, selected }), CHECK, REPAIR],
  usual: "list",
  examples: [
    "qmailctl queue list --domain example.org --older 2h",
    "qmailctl queue list --error 'connection refused' --tries 3-",
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
