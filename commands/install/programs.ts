/** Step 2: the programs in $QMAIL/bin: launchers that know the home, the Node and the code. */

import { statSync } from "node:fs";
import { dirname } from "node:path";
import { CLIENT_PROGRAMS, PROGRAMS, programPath } from "../../qmail/programs.ts";
import { CommandError } from "../output.ts";
import { fileRow, type Step } from "./step.ts";
import { shellQuote, template } from "./templates.ts";

export const programs: Step = {
  title: "programs",
  rows(context) {
    const node = process.execPath;
    if (!context.config.sandbox) {
      for (const path of [node, programPath("qmail-start")]) checkReadable(path);
    }
    const wanted = context.config.hubs ? CLIENT_PROGRAMS : PROGRAMS;
    return Object.entries(wanted).map(([name, { file, mode }]) =>
      fileRow(context, {
        name: `bin/${name}`,
        mode,
        content: template("program", {
          HOME: shellQuote(context.home),
          NODE: shellQuote(node),
          PROGRAM: shellQuote(programPath(file)) + (CALLED[name] ?? ""),
        }),
      }),
    );
  },
};

/** What the launcher tells the program beside its arguments: one that has several names, by which it was called. */
const CALLED: Readonly<Record<string, string>> = { sendmail: ` "--called=\${0##*/}"` };

/** The daemons run as users of their own: these must be able to read Node and the code. */
function checkReadable(path: string): void {
  const closed = closedToOthers(path);
  if (closed === null) return;
  throw new CommandError(
    `the users of the mail system cannot reach ${path}: "${closed}" is closed to others`,
    {
      hints: [
        "install the package where all can read it: npm install -g qmailctl",
        `or open the way: chmod o+rx ${shellQuote(closed)}`,
      ],
    },
  );
}

/** The file `path`, or the directory on the way to it, that other users cannot get through; null when they can. */
export function closedToOthers(path: string): string | null {
  for (let at = path; ; at = dirname(at)) {
    const stat = statSync(at);
    const needed = stat.isDirectory() ? 0o001 : 0o004;
    if ((stat.mode & needed) === 0) return at;
    if (at === dirname(at)) return null;
  }
}
