/** qmail-getpw: `qmail-getpw local` prints whose the address is, six strings that end in NUL (qmail-getpw(8)). */

import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { readIds } from "../ids.ts";
import type { Nughde } from "./assign.ts";
import { accountsView, NughdeError, userOrAlias } from "./nughde.ts";

/** The six strings, as qmail-lspawn takes them. */
export function formatNughde({ name, uid, gid, home, dash, ext }: Nughde): string {
  return [name, uid, gid, home, dash, ext].map((field) => `${field}\0`).join("");
}

async function main([local]: readonly string[]): Promise<number> {
  if (local === undefined) return EXIT.hard;
  const home = qmailHome();
  try {
    const view = accountsView(home, readIds(home));
    const { nughde } = await userOrAlias(Buffer.from(local).toString("latin1"), view);
    process.stdout.write(Buffer.from(formatNughde(nughde), "latin1"));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof NughdeError) return error.code;
    throw error;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
