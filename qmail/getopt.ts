/** Options as getopt(3) takes them: letters in clusters, arguments beside or behind, `--` ends them. */

export interface Options {
  /** Letter and argument (empty for a flag), in the order they were given. */
  readonly options: readonly (readonly [letter: string, value: string])[];
  /** What follows the options. */
  readonly rest: readonly string[];
}

/**
 * Takes the options of `letters` from `args`; a string says what is wrong. In `letters`, `x:` needs an
 * argument, and `x::` may have one, right behind it.
 */
export function getopt(args: readonly string[], letters: string): Options | string {
  const options: [string, string][] = [];
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === "--") return { options, rest: args.slice(at + 1) };
    if (!arg.startsWith("-") || arg === "-") break;
    if (arg.startsWith("--")) return `unknown option "${arg}"`;
    for (let i = 1; i < arg.length; i++) {
      const letter = arg.charAt(i);
      const kind = argumentKind(letter, letters);
      if (kind === null) return `unknown option "-${letter}"`;
      if (kind === "none") {
        options.push([letter, ""]);
        continue;
      }
      let value: string | undefined = arg.slice(i + 1);
      if (value === "" && kind === "required") value = args[++at];
      if (value === undefined) return `option "-${letter}" needs an argument`;
      options.push([letter, value]);
      break;
    }
  }
  return { options, rest: args.slice(at) };
}

function argumentKind(letter: string, letters: string): "none" | "required" | "attached" | null {
  const at = letter === ":" ? -1 : letters.indexOf(letter);
  if (at < 0) return null;
  if (letters.charAt(at + 1) !== ":") return "none";
  return letters.charAt(at + 2) === ":" ? "attached" : "required";
}
