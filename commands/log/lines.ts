/** The lines of several logs in the order of their time: each log has a file of its own, the mail passed through all. */

import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import { LineCutter } from "./analysis/read.ts";
import type { Source } from "./sources.ts";

export interface ShownLine {
  readonly service: string;
  /** Milliseconds since 1970; NaN as long as no line had a stamp. */
  readonly time: number;
  readonly text: string;
}

/** Makes lines of bytes: with their time, or that of the line before. */
export class LineReader {
  readonly #cutter: LineCutter;
  #lines: ShownLine[] = [];

  constructor(service: string, now: number) {
    const stamp = new StampReader(now);
    let last = Number.NaN;
    this.#cutter = new LineCutter((bytes, from, to) => {
      stamp.read(bytes, from, to);
      if (!Number.isNaN(stamp.ms)) last = stamp.ms;
      const text = latin1(bytes, stamp.at, to);
      this.#lines.push({ service: stamp.tag || service, time: last, text });
    });
  }

  /** The lines that are whole with `chunk`. */
  push(chunk: Buffer): ShownLine[] {
    this.#cutter.push(chunk);
    return this.#take();
  }

  /** The last line, when it has no newline. */
  end(): ShownLine[] {
    this.#cutter.end();
    return this.#take();
  }

  #take(): ShownLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}

/** One log: the files of a service, one after the other. */
async function* readLog(sources: readonly Source[], now: number): AsyncGenerator<ShownLine[]> {
  for (const source of sources) {
    const reader = new LineReader(source.name, now);
    for await (const chunk of source.open()) yield reader.push(chunk);
    yield reader.end();
  }
}

interface Head {
  readonly log: AsyncGenerator<ShownLine[]>;
  lines: ShownLine[];
  at: number;
}

/**
 * Gives `line` every line of `sources`, oldest first; sources of one name follow on one another. No more is read before
 * `drained`, asked after every piece, resolves.
 */
export async function readInOrder(
  sources: readonly Source[],
  line: (line: ShownLine) => void,
  drained: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const byName = Map.groupBy(sources, ({ name }) => name);
  const now = Date.now();
  let heads: Head[] = [];
  for (const each of byName.values()) {
    const head = { log: readLog(each, now), lines: [], at: 0 };
    if (await refill(head)) heads.push(head);
  }
  while (heads.length > 0) {
    const first = heads.reduce((a, b) => (timeOf(b) < timeOf(a) ? b : a));
    // Only until another log has an older line.
    const others = heads.filter((head) => head !== first);
    const until = Math.min(Number.POSITIVE_INFINITY, ...others.map(timeOf));
    do line(first.lines[first.at++] as ShownLine);
    while (first.at < first.lines.length && !(timeOf(first) > until));
    if (first.at < first.lines.length) continue;
    await drained();
    if (!(await refill(first))) heads = others;
  }
}

async function refill(head: Head): Promise<boolean> {
  for (;;) {
    const { value, done } = await head.log.next();
    if (done) return false;
    head.lines = value;
    head.at = 0;
    if (value.length > 0) return true;
  }
}

function timeOf({ lines, at }: Head): number {
  return (lines[at] as ShownLine).time;
}
