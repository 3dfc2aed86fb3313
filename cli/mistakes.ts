/** What a person reads who has mistyped: what there is not, and what was perhaps meant. */

import type { CAC } from "cac";
import { UsageError } from "../commands/output.ts";
import { unprotect } from "./arguments.ts";
import { nearest } from "./suggest.ts";

/** There is no `what` of the name `word`. */
export function unknown(what: string, word: string, known: readonly string[]): UsageError {
  const meant = nearest(word, known);
  const hint = meant ? `did you mean "${meant}"?` : `there is: ${known.join(", ")}`;
  return new UsageError(`there is no ${what} "${word}"`, [hint]);
}

/** What cac found wrong, in our words. */
export function misuse(cli: CAC, { message }: Error): UsageError {
  const name = cli.matchedCommandName ?? "";
  const help = [`see qmailctl ${name} --help`.replace("  ", " ")];
  const [, option] = /^Unknown option `(--?[^`]+)`/.exec(message) ?? [];
  if (option !== undefined) return unknownOption(cli, option, help);
  const [, valueless] = /^option `([^`]+)` value is missing/.exec(message) ?? [];
  if (valueless !== undefined) return new UsageError(`a value is missing: ${valueless}`, help);
  const [, unused] = /^Unused args: (.*)/s.exec(message) ?? [];
  if (unused !== undefined) {
    const words = unprotect(unused).replaceAll("`", '"');
    return new UsageError(`qmailctl ${name} takes no argument ${words}`, help);
  }
  return new UsageError(unprotect(message), help);
}

function unknownOption(cli: CAC, option: string, help: readonly string[]): UsageError {
  const options = [...(cli.matchedCommand?.options ?? []), ...cli.globalCommand.options];
  const known = options.flatMap(({ names }) => names.map(flagOf));
  const written = flagOf(option.replace(/^-+/, ""));
  const meant = nearest(written, known);
  const hints = meant ? [`did you mean "${meant}"?`] : help;
  return new UsageError(`there is no option "${written}"`, hints);
}

/** An option as it is written: cac names options in camel case, without dashes. */
export function flagOf(name: string): string {
  if (name.length === 1) return `-${name}`;
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
