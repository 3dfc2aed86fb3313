/**
 * Binary mailing lists: `&address` and names of further lists, each ended by a NUL (setmaillist(1)). Pure;
 * byte strings.
 */

import { ADDRESS_MAX, TableError } from "./table.ts";

/** The binary form of the list `text`, an entry a line. Throws TableError. */
export function parseMaillist(text: string): string {
  if (text.includes("\0")) throw new TableError("NUL bytes are not permitted");
  return text.split("\n").map(entry).join("");
}

function entry(text: string): string {
  const line = text.replace(/[ \t]+$/, "");
  if (line === "" || line.startsWith("#")) return "";
  if (/^[./]/.test(line)) return `${line}\0`;
  const address = line.startsWith("&") ? line.slice(1) : line;
  if (address.length > ADDRESS_MAX) {
    throw new TableError("addresses over 800 bytes are not permitted");
  }
  return `&${address}\0`;
}

/** The text of a binary list. Throws TableError. */
export function formatMaillist(bytes: string): string {
  const entries = bytes.split("\0");
  if (entries.pop() !== "" || entries.some((each) => !/^[&./]/.test(each) || each.includes("\n"))) {
    throw new TableError("bad mailing list format");
  }
  return entries.map((each) => `${each}\n`).join("");
}
