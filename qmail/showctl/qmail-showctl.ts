/** qmail-showctl: explains how an installation is configured (qmail-showctl(8)). */

import { opendirSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { type Ids, readIds } from "../ids.ts";
import { SPLIT } from "../queue/fmtqfn.ts";
import { SPAWN_LIMIT } from "../spawn/protocol.ts";
import {
  CONTROL_FILES,
  MORERCPTHOSTS,
  MORERCPTHOSTS_IN_VAIN,
  OUR_FILES,
  RCPTHOSTS,
  rulesFile,
  SECRET_FILES,
} from "./control-files.ts";
import { describe, exists } from "./control-words.ts";

/** What C qmail is built with: conf-break, conf-patrn. */
const BREAK = "-";
const PATERNALISM = 2;

/** What qmail-showctl prints for the installation in `home`, and its exit code. */
export function showctl(home: string, ids: Ids): { text: string; code: number } {
  const head = built(home, ids);
  const oops = (text: string) => ({ text: `${head}Oops! ${text}`, code: EXIT.soft });
  if (!isDirectory(home)) return oops(`Unable to chdir to ${home}.\n`);
  if (!isDirectory(`${home}/control`)) return oops("Unable to chdir to control.\n");
  try {
    new Control(home).line("me");
  } catch {
    return oops("Trouble reading control/me.");
  }
  return { text: head + known(home) + others(home), code: EXIT.ok };
}

/** The part that is C qmail's conf-* files. */
function built(home: string, { uid, gid, owner }: Ids): string {
  const { alias, qmaild, qmaill, qmailp, qmailq, qmailr, qmails } = uid;
  const users = [alias, qmaild, qmaill, owner, qmailp, qmailq, qmailr, qmails];
  return [
    `qmail home directory: ${Buffer.from(home).toString("latin1")}.`,
    `user-ext delimiter: ${BREAK}.`,
    `paternalism (in decimal): ${PATERNALISM}.`,
    `silent concurrency limit: ${SPAWN_LIMIT}.`,
    `subdirectory split: ${SPLIT}.`,
    `user ids: ${users.join(", ")}.`,
    `group ids: ${gid.nofiles}, ${gid.qmail}.`,
    "",
  ].join("\n");
}

function known(home: string): string {
  return CONTROL_FILES.map((file) => {
    return file === "rcpthosts" ? recipients(home) : describe(home, file);
  }).join("");
}

/** rcpthosts, and what becomes of morercpthosts beside it. */
function recipients(home: string): string {
  const more = exists(home, "rcpthosts") ? MORERCPTHOSTS : MORERCPTHOSTS_IN_VAIN;
  return `${describe(home, RCPTHOSTS)}${describe(home, more)}\nmorercpthosts.cdb: ${freshness(home, "morercpthosts")}\n`;
}

/** Whether the database made of control/`name` is up to date. */
function freshness(home: string, name: string): string {
  const text = stat(`${home}/control/${name}`);
  const cdb = stat(`${home}/control/${name}.cdb`);
  if (!text && !cdb) return "(Default.) No effect.";
  if (!text) return `Oops! ${name}.cdb exists but ${name} doesn't.`;
  if (!cdb) return `Oops! ${name} exists but ${name}.cdb doesn't.`;
  if (seconds(text) > seconds(cdb)) return `Oops! ${name}.cdb is older than ${name}.`;
  return "Modified recently enough; hopefully up to date.";
}

/** The files that C qmail says nothing of, in the directory's own order as C's takes them. */
function others(home: string): string {
  const said = new Set(CONTROL_FILES.map((file) => (file === "rcpthosts" ? file : file.name)));
  for (const name of ["morercpthosts", "morercpthosts.cdb"]) said.add(name);
  const names = [...directory(`${home}/control`)].filter((name) => !said.has(name));
  return names.map((name) => other(home, name)).join("");
}

function other(home: string, name: string): string {
  const ours = OUR_FILES.find((file) => file.name === name);
  if (ours) return describe(home, ours);
  const rules = /^tcp\.[^.]+(?=\.cdb$|$)/.exec(name)?.[0];
  if (rules === undefined) {
    return `\n${name}: ${SECRET_FILES[name] ?? "I have no idea what this file does."}\n`;
  }
  if (name === rules) return describe(home, rulesFile(name));
  return `\n${name}: ${freshness(home, rules)}\n`;
}

function* directory(path: string): Generator<string> {
  const handle = opendirSync(path, { encoding: "latin1" });
  try {
    for (let entry = handle.readSync(); entry; entry = handle.readSync()) yield entry.name;
  } finally {
    handle.closeSync();
  }
}

function isDirectory(path: string): boolean {
  return stat(path)?.isDirectory() === true;
}

function stat(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function seconds({ mtimeMs }: Stats): number {
  return Math.floor(mtimeMs / 1000);
}

function main(): number {
  const home = resolve(qmailHome());
  try {
    const { text, code } = showctl(home, readIds(home));
    process.stdout.write(Buffer.from(text, "latin1"));
    return code;
  } catch (error) {
    process.stderr.write(`qmail-showctl: fatal: ${(error as Error).message}\n`);
    return EXIT.soft;
  }
}

if (import.meta.main) process.exitCode = main();
