/** `qmailctl queue delete, bounce, hold, release, retry, redirect, expire`: what is to become of messages. */

import { EXIT } from "../../qmail/exit.ts";
import type { Action } from "../../qmail/send/action.ts";
import { isAddress } from "../../qmail/send/action.ts";
import type { Answer } from "../../qmail/send/action-protocol.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { duration } from "../time.ts";
import { denied, openHand } from "./hand.ts";
import { Oddities } from "./oddities.ts";
import { printable } from "./readable.ts";
import { isEverything, type Selection } from "./selection.ts";
import { findTargets, type Hit, type Targets } from "./targets.ts";

export interface ActOptions {
  readonly home: string;
  readonly output: Output;
  readonly selection: Selection;
  readonly action: Action;
  /** Everything in the queue is meant. */
  readonly all: boolean;
  readonly whole: boolean;
  readonly yes: boolean;
  readonly dryRun: boolean;
  /** Seconds that each message may wait for deliveries of it that are under way. */
  readonly wait: number;
  /** Asks a person; null when there is none. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
}

interface Words {
  /** "Delete" of "Delete these 3 messages?"; null when nobody need be asked. */
  readonly ask: string | null;
  /** "deleted" of "3 messages deleted". */
  readonly done: string;
}

const WORDS: Readonly<Record<Action["type"], Words>> = {
  delete: { ask: "Delete, without a word to anybody,", done: "deleted" },
  bounce: { ask: "Return to the sender", done: "bounced" },
  hold: { ask: null, done: "held" },
  release: { ask: null, done: "released" },
  retry: { ask: null, done: "tried now" },
  redirect: { ask: "Redirect", done: "redirected" },
  expire: { ask: "Try a last time", done: "expired: one more try, and a failure is final" },
};

/** Does `action` to the messages that the selection means. Throws CommandError unless all of them are done. */
export async function queueAct(options: ActOptions): Promise<void> {
  const { home, output, selection, action, dryRun } = options;
  checkAsked(options);
  const now = Date.now();
  const { whole } = options;
  const oddities = new Oddities();
  const found = findTargets({
    home,
    selection,
    action: action.type,
    whole,
    now,
    odd: oddities.add,
  });
  oddities.tell(output);
  if (found.targets.length === 0) {
    output.data({ action: action.type, messages: 0, answers: [] });
    output.line("No message is meant.");
    return;
  }
  if (dryRun) {
    show(found, output, now);
    output.data({ action: action.type, dryRun: true, ...count(found), targets: found.targets });
    output.line(`${counted(found)} would be ${WORDS[action.type].done}.`);
    return;
  }
  await ask(options, found, now);
  await perform(options, found);
}

function checkAsked({ selection, action, all }: ActOptions): void {
  const { type } = action;
  if (action.type === "redirect" && !isAddress(action.to)) {
    throw new UsageError(`"${action.to}" is no address`, [
      "for example: qmailctl queue redirect ann@example.org 1234",
      "or to the same name elsewhere: qmailctl queue redirect @new.example --domain old.example",
    ]);
  }
  if (isEverything(selection) === all) return;
  if (all) throw new UsageError("--all means every message: it goes with no selection");
  throw new UsageError(`which messages is queue ${type} to hit? none were named`, [
    `some: qmailctl queue ${type} ID..., or --from, --to, --older and so on`,
    `every message in the queue: qmailctl queue ${type} --all`,
  ]);
}

/** Shows what would be hit, and lets nobody do harm by a slip of the finger. */
async function ask(options: ActOptions, found: Targets, now: number): Promise<void> {
  const { action, output, yes, confirm } = options;
  const { ask: question } = WORDS[action.type];
  if (question === null || yes) return;
  if (!confirm) {
    throw new UsageError(`queue ${action.type} would hit ${counted(found)}: nobody can be asked`, [
      "look at them first: --dry-run",
      "go ahead: --yes",
    ]);
  }
  show(found, output, now);
  if (await confirm(`${question} ${counted(found)}?`)) return;
  throw new CommandError("nothing was changed", { code: EXIT.hard });
}

async function perform({ home, output, action, wait }: ActOptions, found: Targets): Promise<void> {
  const hand = await openHand(home);
  const answers: Answer[] = [];
  const counts = { done: 0, gone: 0, busy: 0, refused: 0 };
  try {
    for await (const answer of hand.act(action, found.targets, wait)) {
      counts[answer.outcome]++;
      if (output.json) answers.push(answer);
      else if (answer.outcome === "refused")
        output.note(printable(`${answer.id}: ${answer.reason}`));
    }
  } catch (error) {
    throw denied(error);
  } finally {
    hand.close();
  }
  const { type } = action;
  output.data({ action: type, messages: found.targets.length, ...counts, answers });
  output.line(`${messages(counts.done)} ${WORDS[type].done}.`);
  if (counts.gone > 0) output.line(`${messages(counts.gone)} gone meanwhile, or with nobody left.`);
  if (!hand.running) output.line("qmail-send does not run: the rest happens when it starts.");
  if (counts.busy > 0) {
    throw new CommandError(`${messages(counts.busy)} being delivered all the time: not touched`, {
      code: EXIT.soft,
      hints: [
        "try again, or give them time: --wait SECONDS",
        "hold stops what is not begun at once",
      ],
    });
  }
  if (counts.refused > 0) {
    throw new CommandError(`${messages(counts.refused)} not touched`, { code: EXIT.hard });
  }
}

function show({ targets, first }: Targets, output: Output, now: number): void {
  output.table(
    [
      { title: "id" },
      { title: "age", align: "right" },
      { title: "size", align: "right" },
      { title: "from" },
      { title: "to" },
    ],
    first.map((hit) => row(hit, now)),
  );
  if (targets.length > first.length) output.line(`and ${targets.length - first.length} more`);
}

function row({ message, recipients }: Hit, now: number): string[] {
  const { id, birth, size, sender } = message;
  const age = duration(Math.max(0, Math.floor((now - birth) / 1000)));
  const [first, ...others] = recipients.map(({ address }) => printable(address));
  const to = others.length > 0 ? `${first} and ${others.length} more` : (first ?? "");
  return [id, age, String(size), `<${printable(sender)}>`, to];
}

function count({ targets, recipients }: Targets) {
  return { messages: targets.length, recipients };
}

/** "3 messages to 5 recipients". */
function counted({ targets, recipients }: Targets): string {
  return `${messages(targets.length)} to ${recipients} recipient${recipients === 1 ? "" : "s"}`;
}

function messages(number: number): string {
  return `${number} message${number === 1 ? "" : "s"}`;
}
