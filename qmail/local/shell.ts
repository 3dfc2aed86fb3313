/**
 * A command and its variables for /bin/sh, byte by byte. Pure.
 *
 * Node gives a program UTF-8 and nothing else. Where a command or a variable is something else, the shell
 * makes the bytes itself, from octal numbers.
 */

import { utf8Text } from "../files/bytes.ts";

export interface ShellCommand {
  /** For `sh -c`. */
  readonly script: string;
  /** For its environment. */
  readonly variables: Readonly<Record<string, string>>;
}

/** `command` and `variables` are byte strings without NUL. */
export function shellCommand(
  command: string,
  variables: Readonly<Record<string, string>>,
): ShellCommand {
  const passed: Record<string, string> = {};
  const made: string[] = [];
  for (const [name, bytes] of Object.entries(variables)) {
    const text = utf8Text(bytes);
    if (text !== null) passed[name] = text;
    // The x is there because $( ) takes newlines from the end.
    else
      made.push(
        `${name}="$(printf '${octal(bytes)}x')"; ${name}="\${${name}%x}"; export ${name}; `,
      );
  }
  const script = utf8Text(command) ?? `eval "$(printf '${octal(command)}')"`;
  return { script: made.join("") + script, variables: passed };
}

function octal(bytes: string): string {
  return [...bytes].map((byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, "0")}`).join("");
}
