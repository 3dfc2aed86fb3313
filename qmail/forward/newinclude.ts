/** newinclude(1): makes the binary mailing list FILE.bin of the :include: file FILE. */

import { readFileSync } from "node:fs";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import {
  type Context,
  exitWith,
  type Outcome,
  programContext,
  refused,
} from "../inject/context.ts";
import { type Domains, readDomains } from "../inject/rewrite.ts";
import { outcomeOf, replace, trying } from "./convert.ts";
import { ListError, type Recipient, recipientsIn } from "./sendmail-list.ts";

/** The binary list that the :include: file `text` means. Throws ListError. */
export function includeList(text: string, domains: Domains): string {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  const recipients = lines.flatMap((line) => recipientsIn(line, domains));
  return recipients.map((recipient) => `${entry(recipient)}\0`).join("");
}

function entry(recipient: Recipient): string {
  switch (recipient.type) {
    case "program":
      throw new ListError(`program delivery |${recipient.command} not supported`);
    case "file":
      throw new ListError(`file delivery ${recipient.name} not supported`);
    case "include":
      // Its binary form as well: fastforward can read no other. (Debian's newinclude names the text.)
      return `${/^[./]/.test(recipient.file) ? "" : "./"}${recipient.file}.bin`;
    case "address":
      return `&${recipient.address}`;
  }
}

/** Runs newinclude. */
export async function newinclude(
  [file]: readonly string[],
  { env, home }: Pick<Context, "env" | "home">,
): Promise<Outcome> {
  if (file === undefined) return refused("usage: newinclude list");
  const domains = readDomains(new Control(home), env);
  if (typeof domains === "string") return { code: EXIT.soft, message: domains };
  return outcomeOf(() => {
    const text = trying(`read ${file}`, () => readFileSync(file, "latin1"));
    const list = Buffer.from(includeList(text, domains), "latin1");
    replace(`${file}.bin`, `${file}.tmp`, list);
  });
}

if (import.meta.main) {
  exitWith("newinclude", await newinclude(process.argv.slice(2), programContext()));
}
