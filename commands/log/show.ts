/** `qmailctl log show` of chosen lines, or of other logs than the running system's. */

import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import type { Output } from "../output.ts";
import { LineCutter } from "./analysis/read.ts";
import { type Selection, Selector } from "./select.ts";
import { findSources, type SourceOptions } from "./sources.ts";

export interface ShownLine {
  readonly service: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

export interface ShowOptions extends SourceOptions {
  readonly selection: Selection;
  /** The last so many; 0: all. */
  readonly lines: number;
  readonly output: Output;
}

/** Gives the chosen lines to `show`, in the order of the sources. */
export async function showChosen(
  options: ShowOptions,
  show: (line: ShownLine) => void,
): Promise<void> {
  const selector = new Selector(options.selection, Date.now());
  const stamp = new StampReader(Date.now());
  const last: ShownLine[] = [];
  for (const source of findSources(options)) {
    const cutter = new LineCutter((bytes, from, to) => {
      stamp.read(bytes, from, to);
      const { ms } = stamp;
      for (const text of selector.line(ms, latin1(bytes, stamp.at, to))) {
        const line = { service: stamp.tag || source.name, time: ms, text };
        if (options.lines === 0) show(line);
        else if (last.push(line) > 2 * options.lines) last.splice(0, options.lines);
      }
    });
    for await (const chunk of source.open()) cutter.push(chunk);
    cutter.end();
  }
  for (const line of last.slice(-options.lines)) show(line);
}
