/** Reads one word as /bin/sh does, as far as that needs no shell. Pure. */

export interface ShellWord {
  readonly text: string;
  /** Where it begins. */
  readonly start: number;
}

/** The first word of `source`; `none` when the command ends before one, `unknown` when it is computed. */
export function shellWord(source: string): ShellWord | "none" | "unknown" {
  const start = /^(?:[ \t]|\\\n)*/.exec(source)?.[0].length ?? 0;
  let text = "";
  let at = start;
  while (at < source.length && !/[\s;|&<>()]/.test(source[at] as string)) {
    const part = nextPart(source.slice(at));
    if (part === null) return "unknown";
    text += part.text;
    at += part.length;
  }
  return at === start ? "none" : { text, start };
}

/** A quoted string, an escaped character or a plain one; null when it stands for something else. */
function nextPart(source: string): { text: string; length: number } | null {
  const single = /^'([^']*)'/.exec(source);
  if (single) return { text: single[1] as string, length: single[0].length };
  const double = /^"((?:[^"\\]|\\[\s\S])*)"/.exec(source);
  if (double) {
    const inside = double[1] as string;
    if (/(?<!\\)(?:\\\\)*[$`]/.test(inside)) return null;
    const text = inside.replace(/\\([$`"\\\n])/g, (_, char) => (char === "\n" ? "" : char));
    return { text, length: double[0].length };
  }
  const escaped = /^\\([\s\S])/.exec(source);
  if (escaped) return { text: escaped[1] === "\n" ? "" : (escaped[1] as string), length: 2 };
  return /^['"$`]/.test(source) ? null : { text: source.charAt(0), length: 1 };
}
