/** What `qmailctl explain` knows of an installation, and how it asks its programs. */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Control, textOf } from "../../qmail/control/control.ts";
import { readIds } from "../../qmail/ids.ts";
import { type Outlook, outlook } from "../../qmail/local/outlook.ts";
import { parseRequest } from "../../qmail/local/qmail-local.ts";
import { nodeArguments, programPath } from "../../qmail/programs.ts";
import { type RewriteTables, readTables } from "../../qmail/send/rewrite.ts";
import { localFields } from "../../qmail/spawn/qmail-lspawn.ts";
import { AssignError, compileAssign, findAssigned, type Nughde } from "../../qmail/users/assign.ts";
import { Assignments, type Whose } from "../../qmail/users/nughde.ts";
import { CommandError } from "../output.ts";
import { type DefaultDelivery, defaultDelivery } from "./sources.ts";

const run = promisify(execFile);

/** The sender of the message that is thought of. */
const SENDER = "sender@example.com";

export interface Site {
  readonly home: string;
  readonly sandbox: boolean;
  readonly control: Control;
  readonly tables: RewriteTables;
  /** The text of users/assign; null when there is none. */
  readonly assign: string | null;
  /** Whose mail for `local` is. Rejects with NughdeError. */
  whose(local: string): Promise<Whose>;
  /** What users/assign says of `local` that users/cdb, which decided for `found`, does not. */
  assignTrouble(local: string, found: Nughde | null): string[];
  /** What a delivery would do. */
  outlook(whose: Whose, address: { local: string; host: string }): Promise<Outlook>;
  /** A remark when we cannot look as `user`. */
  seenBy(user: Nughde): string[];
  /** Where line `number` of the default delivery stands. */
  rcSource(number: number): string;
}

/** The installation in `home`. Throws CommandError when there is none. */
export function openSite(home: string): Site {
  const control = new Control(home);
  const { ids, tables } = attempt(home, () => {
    return { ids: readIds(home), tables: readTables(control) };
  });
  const assign = textOf(join(home, "users/assign"));
  const assignments = new Assignments(home, ids);
  const delivery = defaultDelivery(textOf(join(home, "rc")));
  const me = process.getuid?.();
  return {
    home,
    sandbox: ids.sandbox,
    control,
    tables,
    assign,
    whose: (local) => assignments.find(local),
    assignTrouble: (local, found) => assignTrouble(assign, local, found),
    outlook(whose, address) {
      const fields = localFields(whose, { ...address, sender: SENDER }, known(delivery).text);
      const as = me === 0 && !ids.sandbox ? whose.nughde : null;
      return look(fields, as);
    },
    seenBy({ name, uid }) {
      if (ids.sandbox || me === 0 || me === uid) return [];
      return [`looked at as uid ${me}, not as ${name}: as root you see what ${name} sees`];
    },
    rcSource(number) {
      const { line } = known(delivery);
      return line === null ? "qmail-start" : `rc:${line + number - 1}`;
    },
  };
}

function known(delivery: DefaultDelivery | null): DefaultDelivery {
  if (delivery) return delivery;
  throw new CommandError(
    "cannot find out the default delivery: rc calls qmail-start in no plain way",
    {
      hints: [
        "the first argument of qmail-start in rc is the default delivery: write it in quotes",
      ],
    },
  );
}

/** The outlook as `user` sees it, or, with null, as we do. */
async function look(fields: readonly string[], user: Nughde | null): Promise<Outlook> {
  if (user === null) {
    const request = parseRequest(fields);
    return request ? outlook(request) : noHome();
  }
  const { uid, gid } = user;
  const args = fields.map((field) => Buffer.from(field, "latin1").toString("base64"));
  try {
    const { stdout } = await run(
      process.execPath,
      nodeArguments(programPath("local/qmail-local"), ["--outlook", ...args]),
      { uid, gid, cwd: "/", env: { PATH: process.env.PATH ?? "/usr/bin:/bin" } },
    );
    return JSON.parse(stdout);
  } catch (error) {
    if ((error as { code?: unknown }).code === 100) return noHome();
    throw new CommandError(`cannot look as uid ${uid}: ${(error as Error).message}`);
  }
}

/** As qmail-local says of a home that is no absolute path. */
function noHome(): Outlook {
  const trouble = { status: "Z", text: "Internal qmail-lspawn bug.\n" } as const;
  return { tried: [], found: null, lines: [], trouble };
}

function assignTrouble(assign: string | null, local: string, found: Nughde | null): string[] {
  if (assign === null) return [];
  try {
    const now = findAssigned(compileAssign(assign), local)?.nughde ?? null;
    if (JSON.stringify(now) === JSON.stringify(found)) return [];
    return ["users/assign says otherwise by now: run qmail-newu"];
  } catch (error) {
    if (error instanceof AssignError) return [`qmail-newu would not take ${error.message}`];
    throw error;
  }
}

function attempt<T>(home: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new CommandError(`cannot explain mail in ${home}: ${(error as Error).message}`, {
      hints: ["is a mail server installed there? see qmailctl install --help, or say --home"],
      cause: error,
    });
  }
}
