/** .qmail files: which one counts and what it says (dot-qmail(5)). Pure. */

import { lowerAscii } from "../control/constmap.ts";

export type Instruction =
  | { readonly type: "maildir"; readonly path: string }
  | { readonly type: "mbox"; readonly path: string }
  | { readonly type: "program"; readonly command: string }
  | { readonly type: "forward"; readonly address: string }
  /** `+list`: from here on nothing but forwarding is allowed. */
  | { readonly type: "list" };

/** An instruction and the number of its line, from 1. */
export interface InstructionLine {
  readonly number: number;
  readonly instruction: Instruction;
}

/** A .qmail file that no one can mean; the text is the report. */
export class DotQmailError extends Error {}

/** The instructions of a .qmail file in order. Throws DotQmailError when its first line is blank. */
export function parseDotQmail(text: string): Instruction[] {
  return dotQmailLines(text).map(({ instruction }) => instruction);
}

/** As `parseDotQmail`, with the lines that the instructions stand in. */
export function dotQmailLines(text: string): InstructionLine[] {
  const lines: InstructionLine[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    const instruction = parseLine(line.replace(/[ \t]+$/, ""));
    if (instruction === "blank" && at === 0) {
      throw new DotQmailError("Uh-oh: first line of .qmail file is blank. (#4.2.1)\n");
    }
    if (typeof instruction === "object") lines.push({ number: at + 1, instruction });
  }
  return lines;
}

function parseLine(line: string): Instruction | "blank" | "ignored" {
  switch (line[0]) {
    case undefined:
      return "blank";
    case "#":
      return "ignored";
    case ".":
    case "/":
      return line.endsWith("/") ? { type: "maildir", path: line } : { type: "mbox", path: line };
    case "|":
      return { type: "program", command: line.slice(1) };
    case "+":
      return line === "+list" ? { type: "list" } : "ignored";
    case "&":
      return { type: "forward", address: line.slice(1) };
    default:
      return { type: "forward", address: line };
  }
}

export interface Candidate {
  readonly name: string;
  /** What DEFAULT is set to when this file is used; null: not set. */
  readonly default: string | null;
}

/** The file names to look for, in order, for extension `ext` behind `dash`. */
export function dotQmailCandidates(dash: string, ext: string): Candidate[] {
  const safe = safeExtension(ext);
  const named = safe.endsWith("default") ? ext.slice(safe.length - "default".length) : null;
  const candidates: Candidate[] = [{ name: `.qmail${dash}${safe}`, default: named }];
  for (let at = safe.length; at >= 0; at--) {
    if (at === 0 || safe[at - 1] === "-") {
      const name = `.qmail${dash}${safe.slice(0, at)}default`;
      candidates.push({ name, default: ext.slice(at) });
    }
  }
  return candidates;
}

/** An extension as part of a file name: lower case, dots as colons, so it cannot leave the directory. */
export function safeExtension(ext: string): string {
  return lowerAscii(ext).replaceAll(".", ":");
}
