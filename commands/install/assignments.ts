/** Assignments in step 4: users/assign as the config file has it, and users/cdb as qmail-newu makes it of that file. */

import { readFileSync, rmSync } from "node:fs";
import { AssignError, compileAssign } from "../../qmail/users/assign.ts";
import { NewuError, newu } from "../../qmail/users/qmail-newu.ts";
import { CommandError } from "../output.ts";
import { fileRow, type InstallContext, leftOverRows, type Row, read } from "./step.ts";

/** The rows; none when the config file leaves users/assign to others. */
export function assignmentRows(context: InstallContext): Row[] {
  const { assign } = context.config;
  if (!assign) return formerRows(context);
  const content = [...assign, "."].map((line) => `${line}\n`).join("");
  const file = fileRow(context, { name: "users/assign", mode: 0o644, content });
  return [file, cdbRow(context)];
}

/** What an earlier config has assigned holds no longer; what a person wrote stays, and the database of it. */
function formerRows(context: InstallContext): Row[] {
  const files = leftOverRows(context, "users", []);
  const assign = files.find(({ name }) => name === "users/assign");
  if (!assign || assign.inspect() === null || assign.edits?.()) return files;
  const database: Row = {
    name: "users/cdb",
    inspect: () => (read(context.path("users/cdb")) ? "not wanted any more" : null),
    apply: () => rmSync(context.path("users/cdb")),
  };
  return [database, ...files];
}

/** Of users/assign as it is: a person's edit counts, when it was left alone. */
function cdbRow(context: InstallContext): Row {
  const cdb = () => read(context.path("users/cdb"));
  const wanted = () => compileAssign(readFileSync(context.path("users/assign"), "latin1"));
  return {
    name: "users/cdb",
    inspect() {
      const actual = cdb();
      if (actual === null || read(context.path("users/assign")) === null) return "missing";
      return attempt(() => (actual.equals(wanted()) ? null : "not of this users/assign"));
    },
    apply: () => attempt(() => newu(context.home)),
  };
}

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof AssignError || error instanceof NewuError)) throw error;
    throw new CommandError(error.message, {
      hints: ["mend users/assign (see qmail-users(5)), or overwrite it: --force"],
    });
  }
}
