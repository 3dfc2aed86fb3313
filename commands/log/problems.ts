/** `qmailctl log problems`: what in a log deserves attention, by what evidence, and what to do next. */

import kleur from "kleur";
import type { Output } from "../output.ts";
import { printable } from "../printable.ts";
import { reportDrops } from "../queue/drops.ts";
import { Lookout } from "./analysis/lookout.ts";
import { LogReader, type Reading, understood } from "./analysis/read.ts";
import { DOOR_FINDERS } from "./problems/doors.ts";
import type { Problem } from "./problems/finder.ts";
import { MAIL_FINDERS } from "./problems/mail.ts";
import { findSources, type SourceOptions } from "./sources.ts";

/** Looks through the log and says what it found. Exits with 1 when there is something. */
export async function logProblems(options: SourceOptions & { output: Output }): Promise<void> {
  const { output } = options;
  const lookout = new Lookout();
  const reader = new LogReader(lookout, Date.now());
  for (const source of findSources(options)) {
    for await (const chunk of source.open()) reader.push(chunk);
    reader.cut();
  }
  const { reading } = reader;
  const problems = [...unreadProblems(reading), ...findProblems(lookout), ...dropProblems(options)];
  output.data(problems);
  if (problems.length === 0) output.line(none(reading));
  for (const { title, evidence, next } of problems) {
    // With names from the log in them.
    output.line(kleur.bold(printable(title)));
    output.line(`  seen: ${printable(evidence)}`);
    output.line(`  next: ${printable(next)}`);
  }
  if (problems.length > 0 && reading.understood < reading.lines) {
    output.line(`Of this log ${understood(reading)} were understood.`);
  }
  if (problems.length > 0) process.exitCode = 1;
}

function none(reading: Reading): string {
  const { lines, unknownLines } = reading;
  if (lines === 0) return "There is no line in this log: nothing can be said.";
  const all = `No problem in ${understood(reading)}`;
  if (reading.understood === lines) return `${all}.`;
  return `${all} that were understood; not, for example: ${printable(unknownLines[0] ?? "")}`;
}

/** A log that nobody can read says nothing about the mail. */
function unreadProblems({ lines, understood, unknownLines }: Reading): Problem[] {
  if (lines === 0 || understood > 0) return [];
  return [
    {
      name: "unread",
      title: "Nothing in this log was understood",
      evidence: `none of ${lines} lines is in a form known and has a time, for example: ${unknownLines[0] ?? ""}`,
      next: "name the right one: --file; what is read: docs/log.md",
    },
  ];
}

/** No line of a log says that nothing happens: of an installation's own log drop itself is looked at. */
function dropProblems({ home, files, journal }: SourceOptions): Problem[] {
  if (files.length > 0 || journal !== undefined) return [];
  const { stuck, lines } = reportDrops(home, Date.now());
  if (!stuck) return [];
  return [
    {
      name: "drop",
      title: "Messages of local users are not taken in",
      evidence: lines.join("; "),
      next: "qmailctl status; qmailctl log show --grep drop; qmailctl queue check",
    },
  ];
}

/** What `lookout` has seen enough of. */
export function findProblems(lookout: Lookout): Problem[] {
  return Object.entries({ ...MAIL_FINDERS, ...DOOR_FINDERS }).flatMap(([name, find]) => {
    const found = find(lookout);
    return found ? [{ name, ...found }] : [];
  });
}
