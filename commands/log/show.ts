/** `qmailctl log show` of chosen lines, or of other logs than the running system's. */

import type { Output } from "../output.ts";
import { type Follower, followLogs } from "./follow.ts";
import { readInOrder, type ShownLine } from "./lines.ts";
import { type Selection, Selector } from "./select.ts";
import { findSources, type SourceOptions } from "./sources.ts";

export interface ShowOptions extends SourceOptions {
  readonly selection: Selection;
  /** The last so many; 0: all. */
  readonly lines: number;
  /** Go on with what comes, until interrupted. */
  readonly follow: boolean;
  readonly output: Output;
}

/** Gives the chosen lines to `show`, oldest first. */
export async function showChosen(
  options: ShowOptions,
  show: (line: ShownLine) => void,
): Promise<void> {
  const { lines, follow, selection } = options;
  const selector = new Selector(selection, Date.now());
  const last = new Last(lines, show);
  const choose = ({ service, time, text }: ShownLine, take: (line: ShownLine) => void) => {
    for (const each of selector.line(time, text, service)) take({ service, time, text: each });
  };
  if (!follow) {
    const { output } = options;
    const take = (line: ShownLine) => choose(line, (each) => last.add(each));
    await readInOrder(findSources(options), take, () => output.drained());
    last.end();
    return;
  }
  const follower: Follower = {
    old(all) {
      for (const line of all) choose(line, (each) => last.add(each));
      last.end();
    },
    line: (line) => choose(line, show),
  };
  await followLogs(options, follower);
}

/** The last lines of many. */
class Last {
  readonly #count: number;
  readonly #show: (line: ShownLine) => void;
  readonly #lines: ShownLine[] = [];

  constructor(count: number, show: (line: ShownLine) => void) {
    this.#count = count;
    this.#show = show;
  }

  add(line: ShownLine): void {
    if (this.#count === 0) this.#show(line);
    else if (this.#lines.push(line) > 2 * this.#count) this.#lines.splice(0, this.#count);
  }

  end(): void {
    for (const line of this.#lines.slice(-this.#count)) this.#show(line);
  }
}
