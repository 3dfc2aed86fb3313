/** `qmailctl queue list --group`: messages counted by domain, sender or last error. */

import type { Odd } from "../../qmail/queue/queue-read.ts";
import { type Output, UsageError } from "../output.ts";
import { type Tallies, type Tally, top } from "./census.ts";
import { countErrors, takeCensus } from "./count.ts";
import { Oddities } from "./oddities.ts";
import { asText, printable, shortened, sizeText, spanText } from "./readable.ts";
import { checkQueue, closed, theLog } from "./select.ts";
import type { Selection } from "./selection.ts";

export interface GroupsOptions {
  readonly home: string;
  readonly selection: Selection;
  readonly by: string;
  /** So many groups; null: all. */
  readonly limit: number | null;
  readonly output: Output;
}

const GROUPS = ["domain", "sender", "error"];
/** What stands before the names. */
const FIGURES = 35;

/** Shows the groups of the messages in the queue of `home`, the largest first. */
export async function queueGroups({ by, limit, output, ...rest }: GroupsOptions): Promise<void> {
  if (!GROUPS.includes(by)) {
    throw new UsageError(`there is no group "${by}"`, [`there is: ${GROUPS.join(", ")}`]);
  }
  const counting = { ...rest, now: Date.now() };
  const oddities = new Oddities();
  checkQueue(rest.home);
  try {
    const groups = top(
      await counted(counting, by, oddities.add),
      limit ?? Number.POSITIVE_INFINITY,
    );
    output.data(groups.map(([name, tally]) => ({ [by]: asText(name), ...tallyJson(tally) })));
    if (groups.length === 0) output.line("There is nothing to count.");
    else printGroups(groups, { by, now: counting.now, output });
    oddities.tell(output);
  } catch (error) {
    throw closed(error);
  }
}

async function counted(
  counting: Omit<GroupsOptions, "by" | "limit" | "output"> & { now: number },
  by: string,
  odd: (odd: Odd) => void,
): Promise<Tallies> {
  if (by === "error") {
    const { home, selection, now } = counting;
    return countErrors({ ...counting, odd }, theLog(home, selection, now));
  }
  const { domains, senders } = await takeCensus(counting, odd);
  return by === "domain" ? domains : senders;
}

/** A tally as scripts get it. */
export function tallyJson({ messages, left, bytes, oldest }: Tally) {
  return { messages, left, bytes, oldest: new Date(oldest).toISOString() };
}

/** A table of groups. */
export function printGroups(
  groups: ReturnType<typeof top>,
  { by, now, output }: { by: string; now: number; output: Output },
): void {
  const { width } = output.screen;
  output.table(
    [
      { title: "messages", align: "right" },
      { title: "left", align: "right" },
      { title: "size", align: "right" },
      { title: "oldest", align: "right" },
      { title: by },
    ],
    groups.map(([name, { messages, left, bytes, oldest }]) => [
      String(messages),
      String(left),
      sizeText(bytes),
      spanText(now - oldest),
      width === null ? printable(name) : shortened(printable(name), Math.max(20, width - FIGURES)),
    ]),
  );
}
