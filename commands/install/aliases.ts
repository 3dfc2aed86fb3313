/** Step 4: the aliases, in ~alias/.qmail-NAME. */

import { chownSync, mkdirSync, statSync } from "node:fs";
import { safeExtension } from "../../qmail/local/dotqmail.ts";
import { fileRow, type InstallContext, type Row, type Step } from "./step.ts";

/** What the standards ask for; qmail never delivers to the real root. */
const REQUIRED = ["postmaster", "mailer-daemon", "root"];

export const aliases: Step = {
  title: "aliases",
  rows(context) {
    const configured = context.config.aliases;
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
      ...maildirs(context, names.flatMap(linesOf)).map((path) => maildirRow(context, path)),
    ];
  },
};

/** The Maildirs below ~alias that deliveries of an alias need, and the default delivery when one uses it. */
function maildirs(context: InstallContext, lines: readonly string[]): string[] {
  const all = [...lines, context.config.defaultDelivery];
  const paths = all.flatMap((line) => /^\.\/(.*[^/])\/+$/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].filter((path) => !path.split("/").includes(".."));
}

function maildirRow(context: InstallContext, path: string): Row {
  const parts = path.split("/");
  const parents = parts.map((_, at) => parts.slice(0, at + 1).join("/"));
  const directories = [...parents, ...["cur", "new", "tmp"].map((sub) => `${path}/${sub}`)].map(
    (directory) => context.path(`alias/${directory}`),
  );
  const missing = () =>
    directories.filter((directory) => !statSync(directory, { throwIfNoEntry: false }));
  return {
    name: `alias/${path}/`,
    inspect: () => (missing().length > 0 ? "missing" : null),
    apply() {
      const owner = context.owner("alias", "nofiles");
      for (const directory of missing()) {
        mkdirSync(directory, { mode: 0o700 });
        if (owner) chownSync(directory, owner.uid, owner.gid);
      }
    },
  };
}
