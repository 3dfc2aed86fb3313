/** multilog's script: which lines go where, in what form (multilog's manual page). Pure. */

import { DEFAULT_LIMITS, type LogLimits } from "./log-directory.ts";

export interface LogTarget {
  readonly directory: string;
  readonly limits: LogLimits;
  /** The last pattern that matches a line selects (true) or deselects it; without any, it is selected. */
  readonly patterns: readonly { readonly selects: boolean; readonly pattern: string }[];
}

export interface LogScript {
  /** `t`: each line gets a stamp. */
  readonly stamps: boolean;
  readonly targets: readonly LogTarget[];
}

/** The script in `actions`; an error text for one that cannot be carried out. */
export function parseScript(actions: readonly string[]): LogScript | string {
  let stamps = false;
  let limits: LogLimits = { ...DEFAULT_LIMITS, size: 99_999 };
  let patterns: LogTarget["patterns"] = [];
  const targets: LogTarget[] = [];
  for (const [at, action] of actions.entries()) {
    const rest = action.slice(1);
    switch (action[0]) {
      case "t":
        if (at > 0 || rest !== "") return `"t" must be alone and the first action`;
        stamps = true;
        break;
      case "s":
      case "n": {
        const number = Number(rest);
        if (!Number.isInteger(number) || number < 2) return `"${action}" needs a number, 2 or more`;
        limits = { ...limits, [action[0] === "s" ? "size" : "files"]: number };
        break;
      }
      case "-":
      case "+":
        patterns = [...patterns, { selects: action[0] === "+", pattern: rest }];
        break;
      case ".":
      case "/":
        targets.push({ directory: action, limits, patterns });
        break;
      default:
        return `"${action}" is not supported: there is t, sSIZE, nNUM, -PATTERN, +PATTERN and directories`;
    }
  }
  return targets.length > 0 ? { stamps, targets } : "no directory to write to";
}

/** True when the target wants `line` (without stamp and newline). */
export function selects({ patterns }: LogTarget, line: string): boolean {
  let selected = true;
  for (const { selects: verdict, pattern } of patterns) {
    if (matches(pattern, line)) selected = verdict;
  }
  return selected;
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
