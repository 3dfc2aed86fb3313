/** multilog's script: which lines go where, in what form (multilog's manual page). Pure. */

import { DEFAULT_LIMITS, type LogLimits } from "./log-directory.ts";

/** What is done with each line, in this order: whether it is selected is decided by the patterns before. */
export type LogAction =
  | { readonly type: "select"; readonly selects: boolean; readonly pattern: string }
  | { readonly type: "print" }
  | { readonly type: "status"; readonly file: string }
  | {
      readonly type: "directory";
      readonly directory: string;
      readonly limits: LogLimits;
      /** For /bin/sh, on each file that is finished. */
      readonly processor: string | null;
    };

export interface LogScript {
  /** `t`: each line gets a stamp. */
  readonly stamps: boolean;
  readonly actions: readonly LogAction[];
}

/** What the numbers of `s` and `n` may be; others count as the nearest. */
const NUMBERS = {
  s: { limit: "size", min: 4096, max: 16_777_215 },
  n: { limit: "files", min: 2, max: Number.MAX_SAFE_INTEGER },
} as const;

/** The script in `words`; an error text for one that cannot be carried out. */
export function parseScript(words: readonly string[]): LogScript | string {
  let stamps = false;
  let limits: LogLimits = { ...DEFAULT_LIMITS, size: 99_999 };
  let processor: string | null = null;
  const actions: LogAction[] = [];
  for (const [at, word] of words.entries()) {
    const letter = word.charAt(0);
    const rest = word.slice(1);
    switch (letter) {
      case "t":
        if (at > 0 || rest !== "") return `"t" must be alone and the first action`;
        stamps = true;
        break;
      case "s":
      case "n": {
        const { limit, min, max } = NUMBERS[letter];
        if (!/^\d+$/.test(rest)) return `"${word}" needs a number`;
        limits = { ...limits, [limit]: Math.min(Math.max(Number(rest), min), max) };
        break;
      }
      case "!":
        processor = rest === "" ? null : rest;
        break;
      case "-":
      case "+":
        actions.push({ type: "select", selects: letter === "+", pattern: rest });
        break;
      case "e":
        if (rest !== "") return `"e" must be alone`;
        actions.push({ type: "print" });
        break;
      case "=":
        if (rest === "") return `"=" needs a file`;
        actions.push({ type: "status", file: rest });
        break;
      case ".":
      case "/":
        actions.push({ type: "directory", directory: word, limits, processor });
        break;
      default:
        return `"${word}" is no action: there is t, e, =FILE, sSIZE, nNUM, !PROCESSOR, -PATTERN, +PATTERN and directories`;
    }
  }
  return actions.some(({ type }) => type !== "select")
    ? { stamps, actions }
    : "no directory to write to";
}

/** Whether `line` (without stamp and newline) is selected, when `selected` says whether it was so far. */
export function select(
  { selects, pattern }: Extract<LogAction, { type: "select" }>,
  { line, selected }: { line: string; selected: boolean },
): boolean {
  return selected !== selects && matches(pattern, line) ? selects : selected;
}

/** A star stands for any text that does not contain the character behind it; a last star for anything. */
function matches(pattern: string, line: string): boolean {
  let at = 0;
  for (let p = 0; p < pattern.length; p++) {
    if (pattern[p] !== "*") {
      if (pattern[p] !== line[at++]) return false;
      continue;
    }
    const next = pattern[p + 1];
    if (next === undefined) return true;
    const end = line.indexOf(next, at);
    if (end < 0) return false;
    at = end;
  }
  return at === line.length;
}
