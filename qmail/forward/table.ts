/**
 * Forwarding tables: the text that setforward reads and printforward prints, and their records in a cdb
 * (setforward(1)). Pure; byte strings.
 *
 * A target `t` has its commands in the record `:t`, each ended by a NUL, and its owner in `?t`.
 */

import { lowerAscii } from "../control/constmap.ts";

/** One record: the key with its first character, and the data. */
export interface TableRecord {
  readonly key: string;
  readonly data: string;
}

/** Longer addresses are refused. */
export const ADDRESS_MAX = 800;

/** Why a table is none; the text says it. */
export class TableError extends Error {}

/** The records that the table `text` means, in its order. Throws TableError. */
export function parseTable(text: string): TableRecord[] {
  if (text.includes("\0")) throw new TableError("NUL bytes are not permitted");
  const records: TableRecord[] = [];
  let target: string | null = null;
  let commands: string[] = [];
  let word = "";
  for (const { char, quoted } of characters(text)) {
    if (quoted) {
      word += char;
    } else if (char === ":") {
      if (target !== null) throw new TableError("double colons are not permitted");
      target = word;
      word = "";
    } else if (char === "," || char === ";") {
      if (target === null) throw new TableError("commas are not permitted before colons");
      if (word !== "") commands.push(word);
      word = "";
      if (char === ",") continue;
      records.push(...instruction(target, commands));
      target = null;
      commands = [];
    } else {
      word += char;
    }
  }
  if (target !== null || word !== "") {
    throw new TableError("final instruction must end with semicolon");
  }
  return records;
}

/** The characters that count: no spaces, line ends and comments, unless a backslash is before them. */
function* characters(text: string): Generator<{ char: string; quoted: boolean }> {
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === "\\") {
      at++;
      if (at < text.length) yield { char: text.charAt(at), quoted: true };
    } else if (char === "#") {
      const end = text.indexOf("\n", at);
      at = end < 0 ? text.length : end;
    } else if (!/[ \t\n]/.test(char)) {
      yield { char, quoted: false };
    }
  }
}

function instruction(target: string, commands: readonly string[]): TableRecord[] {
  const name = lowerAscii(target);
  const owners: TableRecord[] = [];
  let data = "";
  for (const command of commands) {
    if (command.startsWith("?")) {
      owners.push({ key: `?${name}`, data: checked(command.slice(1)) });
    } else if (/^[&./|!]/.test(command)) {
      if (command.startsWith("&")) checked(command.slice(1));
      data += `${command}\0`;
    } else {
      data += `&${checked(command)}\0`;
    }
  }
  return data === "" ? owners : [...owners, { key: `:${name}`, data }];
}

function checked(address: string): string {
  if (address.length > ADDRESS_MAX) {
    throw new TableError("addresses over 800 bytes are not permitted");
  }
  return address;
}

/** The table that has these records. Throws TableError. */
export function formatTable(records: Iterable<TableRecord>): string {
  let text = "";
  for (const { key, data } of records) {
    const target = escaped(key.slice(1));
    if (key.startsWith("?")) {
      text += `${target}: ?${escaped(data)};\n`;
    } else if (key.startsWith(":") && (data === "" || data.endsWith("\0"))) {
      const commands = commandsIn(data).map((command) => `, ${escaped(command)}\n`);
      text += `${target}:\n${commands.join("")};\n`;
    } else {
      throw new TableError("bad database format");
    }
  }
  return text;
}

/** The commands in the data of a record; what follows the last NUL is none. */
export function commandsIn(data: string): string[] {
  return data.split("\0").slice(0, -1);
}

function escaped(text: string): string {
  return text.replace(/[^!-~\x7f]|[,:;\\#]/g, "\\$&");
}
