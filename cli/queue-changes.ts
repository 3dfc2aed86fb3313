/** The actions of `queue` that change it. One row each. */

import { UsageError } from "../commands/output.ts";
import type { ActOptions } from "../commands/queue/act.ts";
import { type Action as QueueAction, RETURNED } from "../qmail/send/action.ts";
import type { Action, OptionGroup, OptionRow } from "./actions.ts";
import { text, wholeNumber } from "./arguments.ts";
import { confirmer } from "./confirm.ts";
import type { Flags } from "./flags.ts";

/** Seconds that an action waits for deliveries under way unless told otherwise. */
const WAIT = 30;

const SAFETY: OptionGroup = {
  title: "Before it happens",
  options: [
    { flags: "--all", what: "Every message in the queue" },
    { flags: "--dry-run", what: "Only show what would be hit" },
    { flags: "--yes", what: "Do not ask" },
    { flags: "--wait <seconds>", what: `Give a delivery under way so long to end (${WAIT})` },
  ],
};

const WHOLE: OptionRow = {
  flags: "--whole",
  what: "Whole messages, where --to, --domain or --channel names some of their recipients",
};

const TEXT: OptionRow = {
  flags: "--text <text>",
  what: "What the sender is told instead of the usual sentence",
};

type Selected = Pick<ActOptions, "home" | "output" | "selection">;

export interface ChangesOptions {
  /** The selection language. */
  readonly group: OptionGroup;
  /** What every action with a selection takes. */
  selected(ids: readonly string[], flags: Flags): Promise<Selected>;
}

/** The rows. */
export function queueChanges({ group, selected }: ChangesOptions): Action[] {
  const row = (
    name: QueueAction["type"],
    what: string,
    rest: { options?: readonly OptionRow[]; words?: string } = {},
  ): Action => ({
    name,
    what,
    words: rest.words ?? "[ID...]",
    groups: [group, SAFETY],
    options: rest.options ?? [],
    async run(words, flags) {
      const { ids, action } = meant(name, words, flags);
      const { queueAct } = await import("../commands/queue/act.ts");
      const given = await selected(ids, flags);
      await queueAct({ ...given, ...safety(flags), action, selection: asMeant(given, action) });
    },
  });
  return [
    row("delete", "End messages without a word to anybody", { options: [WHOLE] }),
    row("bounce", "Return messages to their senders now", { options: [TEXT, WHOLE] }),
    row("hold", "Do not try messages until they are released"),
    row("release", "Let held messages go on"),
    row("retry", "Try messages now, whatever is known against their hosts"),
    row("redirect", "Send to another address; @domain: to the same names there", {
      words: "ADDRESS [ID...]",
      options: [WHOLE],
    }),
    row("expire", "Try messages once more: the next failure is final"),
  ];
}

function meant(name: QueueAction["type"], words: readonly string[], flags: Flags) {
  const ids = words;
  switch (name) {
    case "bounce":
      return {
        ids,
        action: { type: name, text: bytes(text("text", flags.text).text ?? RETURNED) },
      };
    case "redirect": {
      const [to, ...rest] = words;
      if (to === undefined) {
        throw new UsageError("queue redirect needs the new address", [
          "for example: qmailctl queue redirect ann@example.org 1234",
        ]);
      }
      return { ids: rest, action: { type: name, to: bytes(to) } };
    }
    default:
      return { ids, action: { type: name } };
  }
}

/** Of senders a redirection does not speak: --domain means recipients alone. */
function asMeant({ selection }: Selected, { type }: QueueAction): Selected["selection"] {
  const { domain, ...rest } = selection;
  if (type !== "redirect" || !domain) return selection;
  return {
    ...rest,
    to: [...(rest.to ?? []), ...domain.map((name) => `@${name.replace(/^@/, "")}`)],
  };
}

function safety(flags: Flags) {
  return {
    all: flags.all === true,
    whole: flags.whole === true,
    yes: flags.yes === true,
    dryRun: flags.dryRun === true,
    wait: flags.wait === undefined ? WAIT : wholeNumber("wait", flags.wait, WAIT),
    confirm: confirmer(),
  };
}

/** In the queue addresses and texts are bytes. */
function bytes(written: string): string {
  return Buffer.from(written).toString("latin1");
}
