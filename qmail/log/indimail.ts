/**
 * indimail's qmail-send writes which of its queues a line is about: "delivery 7.q1: success: did_1+0+0/ queue1". The
 * same line as qmail's own says, with a number that no delivery of another queue has.
 */

import { latin1 } from "./stamp.ts";

const QUEUE = "(?:queue\\w*|slowq|nqueue|qmta)";
const FORMS: readonly RegExp[] = [
  new RegExp(`^((?:new|info|bounce) msg .*\\S) ${QUEUE}$`),
  new RegExp(`^(end msg \\d+)(?: [\\w-]+:)? ${QUEUE}$`),
  new RegExp(`^(triple bounce: discarding \\S+) ${QUEUE}$`),
  // Neither recipients nor reports have spaces: a recipient called "queue1" is none.
  new RegExp(
    `^(?<kind>starting delivery|delivery) (?<number>\\d+)(?:\\.(?<queue>\\w+))?(?<rest>: (?:msg \\d+ to (?:local|remote) |(?:success|deferral|failure): )\\S*) ${QUEUE}$`,
  ),
  new RegExp(
    `^(?<kind>delivery) (?<number>\\d+)(?:\\.(?<queue>\\w+))?(?<rest>: report mangled, will defer): ${QUEUE}$`,
  ),
];
const STATUS = new RegExp(
  `^status: local (\\d+/\\d+)(?: \\(held\\))? remote (\\d+/\\d+)(?: \\(held\\))?(?: delayed jobs=\\d+)? ${QUEUE}( exitasap)?$`,
);

/** Far more than a queue starts before the log is another. */
const NUMBERS = 2 ** 40;
const QUEUES = 8191;

/** What ends in such a name, or before the last word does. */
const ENDING = new RegExp(` ${QUEUE}(?: exitasap)?$`);

/** `text`, a line without its stamp, as qmail's qmail-send would have written it; null when it is not indimail's. */
export function plainLine(text: string): string | null {
  if (!ENDING.test(text)) return null;
  const status = STATUS.exec(text);
  if (status) return `status: local ${status[1]} remote ${status[2]}${status[3] ?? ""}`;
  for (const form of FORMS) {
    const match = form.exec(text);
    if (!match) continue;
    const { kind, number, queue, rest } = match.groups ?? {};
    if (kind === undefined) return match[1] ?? null;
    return `${kind} ${Number(number) + NUMBERS * numberOf(queue)}${rest}`;
  }
  return null;
}

/** Another for each name of a queue, as good as always; 0 without one. */
function numberOf(queue = ""): number {
  let number = 0;
  for (let at = 0; at < queue.length; at++) number = (number * 31 + queue.charCodeAt(at)) % QUEUES;
  return number;
}

/** No name of a queue is longer, with the space before it and what may stand behind. */
const TAIL = 24;
const SPACE = 32;
/** q, s and n: what the names begin with; and e, of exitasap. */
const FIRST = new Uint8Array(256);
for (const letter of "qsne") FIRST[letter.charCodeAt(0)] = 1;

/** As `plainLine`, of the bytes from `from` to `to`; costs next to nothing for lines of others. */
export function plainBytes(bytes: Uint8Array, from: number, to: number): Uint8Array | null {
  if (!mayBeIndimail(bytes, from, to)) return null;
  const plain = plainLine(latin1(bytes, from, to));
  return plain === null ? null : Buffer.from(plain, "latin1");
}

function mayBeIndimail(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = to - 1; at > from && at > to - TAIL; at--) {
    if (bytes[at] === SPACE) return FIRST[bytes[at + 1] as number] === 1;
  }
  return false;
}
