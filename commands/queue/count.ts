/** Taking the census of a queue, with the reasons for failure if they are wanted. */

import type { Odd } from "../../qmail/queue/queue-read.ts";
import type { AttemptSource } from "./attempts.ts";
import { add, type Census, count, emptyCensus, merge, type Tallies, tallyOf } from "./census.ts";
import { inParts, type Job } from "./parallel.ts";
import { errorText } from "./readable.ts";
import { selectMessages } from "./select.ts";
import type { Selection } from "./selection.ts";

interface Counting {
  readonly home: string;
  readonly selection: Selection;
  readonly now: number;
}

/** One thread's share. */
export const part: Job<Counting, Census>["part"] = function* ({ home, selection, now }, share) {
  const census = emptyCensus();
  for (const message of selectMessages(home, selection, { now, share, odd: share.odd })) {
    count(census, message, now);
  }
  yield census;
};

/** For `inParts`. */
export const COUNT_JOB: Job<Counting, Census> = { module: import.meta.url, part };

/** The census of the messages that `counting` means; `odd` is told of what is none. */
export async function takeCensus(counting: Counting, odd: (odd: Odd) => void): Promise<Census> {
  const census = emptyCensus();
  const queue = `${counting.home}/queue`;
  for await (const share of inParts({ queue, job: COUNT_JOB, options: counting, odd })) {
    merge(census, share);
  }
  return census;
}

/** Messages by their last error, as `attempts` knows it; what changes from host to host is left out. */
export function countErrors(
  { home, selection, now, odd = () => {} }: Counting & { readonly odd?: (odd: Odd) => void },
  attempts: AttemptSource,
): Tallies {
  const errors: Tallies = new Map();
  for (const message of selectMessages(home, selection, { now, attempts, odd })) {
    const { error } = attempts.of(message.id);
    if (error === null) continue;
    const left = message.recipients.filter(({ done }) => !done).length;
    add(tallyOf(errors, commonPart(error)), message, left);
  }
  return errors;
}

function commonPart(error: string): string {
  return errorText(error).replace(
    /\b\d{1,3}(\.\d{1,3}){3}\b|\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}/gi,
    "(host)",
  );
}
