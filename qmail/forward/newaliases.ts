/** newaliases(1): makes the forwarding database /etc/aliases.cdb of /etc/aliases. */

import { readFileSync } from "node:fs";
import { lowerAscii } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { type Context, exitWith, type Outcome, programContext } from "../inject/context.ts";
import { type Domains, readDomains, rewriteAddress } from "../inject/rewrite.ts";
import { type Token, tokenise, unquote } from "../inject/token822.ts";
import { outcomeOf, replace, tableCdb, trying } from "./convert.ts";
import { aliasIn, ListError, type Recipient } from "./sendmail-list.ts";
import { ADDRESS_MAX, TableError, type TableRecord } from "./table.ts";

const ALIASES = "/etc/aliases";
const OWNER = "owner-";

/** The records for the aliases in `text`. Throws ListError and TableError. */
export function aliasRecords(text: string, domains: Domains): TableRecord[] {
  if (text.includes("\0")) throw new TableError("NUL bytes are not permitted");
  return instructions(text).flatMap((line) => recordsOf(line, domains));
}

/** Each instruction with its further lines: those that begin with a space or tab, or are empty. */
function instructions(text: string): string[] {
  const found: string[] = [];
  for (const line of text.split("\n")) {
    if (found.length > 0 && /^([ \t]|$)/.test(line)) found.push(`${found.pop()}\n${line}`);
    else found.push(line);
  }
  return found.filter((line) => !line.startsWith("#"));
}

function recordsOf(line: string, domains: Domains): TableRecord[] {
  const parsed = aliasIn(line, domains);
  if (!parsed) return [];
  const { alias, recipients } = parsed;
  const host = alias.lastIndexOf("@");
  if (host === alias.length - 1) throw new ListError(`unable to parse this line: ${line}`);
  const target = lowerAscii(host < 0 ? `${alias}@` : alias);
  const data = recipients.map((recipient) => `${command(recipient)}\0`).join("");
  const own: TableRecord = { key: `:${target}`, data };
  if (!target.startsWith(OWNER)) return [own];
  const owner = { key: `?${target.slice(OWNER.length)}`, data: complete(alias, domains, line) };
  return [owner, own];
}

/** The alias as an address that bounces can be sent to. */
function complete(alias: string, domains: Domains, line: string): string {
  const at = alias.lastIndexOf("@");
  const local: Token = { type: "atom", text: at < 0 ? alias : alias.slice(0, at) };
  const host = at < 0 ? [] : tokenise(alias.slice(at));
  const address = host && rewriteAddress([local, ...host], domains);
  if (!address) throw new ListError(`unable to parse this line: ${line}`);
  return unquote(address);
}

function command(recipient: Recipient): string {
  switch (recipient.type) {
    case "program":
      return `!${recipient.command}`;
    case "include":
      return `${/^[./]/.test(recipient.file) ? "" : "./"}${recipient.file}.bin`;
    case "file":
      throw new ListError(`file delivery ${recipient.name} not supported`);
    case "address":
      if (recipient.address.length > ADDRESS_MAX) {
        throw new TableError("addresses over 800 bytes are not permitted");
      }
      return `&${recipient.address}`;
  }
}

/** Runs newaliases for the table `file`. */
export async function newaliases(
  { env, home }: Pick<Context, "env" | "home">,
  file = ALIASES,
): Promise<Outcome> {
  const domains = readDomains(new Control(home), env);
  if (typeof domains === "string") return { code: EXIT.soft, message: domains };
  return outcomeOf(() => {
    const text = trying(`read ${file}`, () => readFileSync(file, "latin1"));
    replace(`${file}.cdb`, `${file}.tmp`, tableCdb(aliasRecords(text, domains)));
  });
}

if (import.meta.main) exitWith("newaliases", await newaliases(programContext()));
