/** The files in templates/, with their placeholders (words in capitals) filled in. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The sources lie two levels below the package, the compiled files three. */
const ROOT = ["../../templates/", "../../../templates/"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path)) as string;

/** The template `name` with each placeholder replaced by its value. */
export function template(name: string, values: Readonly<Record<string, string>>): string {
  const pattern = new RegExp(`\\b(${Object.keys(values).join("|")})\\b`, "g");
  return readFileSync(ROOT + name, "utf8").replace(pattern, (word) => values[word] as string);
}

/** `text` as one word of a shell command. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
