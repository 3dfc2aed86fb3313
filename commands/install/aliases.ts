/** Step 4: the aliases, in ~alias/.qmail-NAME, and whose the other addresses are. */

import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { asUser } from "../../qmail/files/as-user.ts";
import { safeExtension } from "../../qmail/local/dotqmail.ts";
import { assignmentRows } from "./assignments.ts";
import { fileRow, type InstallContext, leftOverRows, type Row, type Step } from "./step.ts";
import { shellQuote } from "./templates.ts";

/** What the standards ask for; qmail never delivers to the real root. */
const REQUIRED = ["postmaster", "mailer-daemon", "root"];

export const aliases: Step = {
  title: "aliases",
  rows(context) {
    const configured = { ...srsAlias(context), ...context.config.aliases };
    const names = [...new Set([...REQUIRED, ...Object.keys(configured).map(safeExtension)])];
    const linesOf = (name: string) =>
      Object.entries(configured).find(([alias]) => safeExtension(alias) === name)?.[1] ?? [];
    const files = names.map((name) =>
      fileRow(context, {
        name: `alias/.qmail-${name}`,
        mode: 0o644,
        content: linesOf(name)
          .filter((line) => line !== "")
          .map((line) => `${line}\n`)
          .join(""),
      }),
    );
    return [
      ...files,
      ...leftOverRows(context, "alias", files),
      ...assignmentRows(context),
      ...maildirs(context, names.flatMap(linesOf)).map((path) => maildirRow(context, path)),
    ];
  },
};

/** Where bounces to rewritten senders go. */
function srsAlias(context: InstallContext): Record<string, readonly string[]> {
  if (context.config.srsDomain === null) return {};
  return { "srs-default": [`|${shellQuote(context.path("bin/srsreverse"))}`] };
}

/** The Maildirs below ~alias that deliveries of an alias need, and the default delivery when one uses it. */
function maildirs(context: InstallContext, lines: readonly string[]): string[] {
  const all = [...lines, context.config.defaultDelivery];
  const paths = all.flatMap((line) => /^\.\/(.*[^/])\/+$/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].filter((path) => !path.split("/").includes(".."));
}

function maildirRow(context: InstallContext, path: string): Row {
  const maildir = context.path(`alias/${path}`);
  return {
    name: `alias/${path}/`,
    inspect: () => (missing(maildir, context.path("alias")).length > 0 ? "missing" : null),
    apply() {
      const owner = context.owner("alias", "nofiles");
      if (!owner) throw new Error("the users do not exist");
      // As the one whose they are: what he has put in their way he follows himself.
      asUser(owner, () => {
        for (const directory of missing(maildir, context.path("alias"))) {
          mkdirSync(directory, { mode: 0o700 });
        }
      });
    },
  };
}

/** The directories that the Maildir lacks, parents first, from `top` down. */
function missing(maildir: string, top: string): string[] {
  const parts = maildir.slice(top.length + 1).split("/");
  const parents = parts.map((_, at) => join(top, ...parts.slice(0, at + 1)));
  const all = [...parents, ...["cur", "new", "tmp"].map((sub) => join(maildir, sub))];
  return all.filter((directory) => !statSync(directory, { throwIfNoEntry: false }));
}
