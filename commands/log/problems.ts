/** `qmailctl log problems`: what in a log deserves attention, by what evidence, and what to do next. */

import kleur from "kleur";
import type { Output } from "../output.ts";
import { reportDrops } from "../queue/drops.ts";
import { Lookout } from "./analysis/lookout.ts";
import { LogReader } from "./analysis/read.ts";
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
  const problems = [...findProblems(lookout), ...dropProblems(options)];
  output.data(problems);
  if (problems.length === 0) output.line(`No problem in ${reader.reading.lines} lines.`);
  for (const { title, evidence, next } of problems) {
    output.line(kleur.bold(title));
    output.line(`  seen: ${evidence}`);
    output.line(`  next: ${next}`);
  }
  if (problems.length > 0) process.exitCode = 1;
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
