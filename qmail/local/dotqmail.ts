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

/** An instruction that does something. */
export type Delivery = Exclude<Instruction, { type: "list" }>;

/** One delivery of a .qmail file in its turn. */
export interface DeliveryStep {
  /** The number of its line. */
  readonly number: number;
  readonly instruction: Delivery;
  /** Which of the numbers in "did 0+0+0" it adds to. */
  readonly kind: "file" | "forward" | "program";
  /** False: the file is one of those that may do nothing but forward. */
  readonly allowed: boolean;
}

const KINDS = { maildir: "file", mbox: "file", forward: "forward", program: "program" } as const;

/** The deliveries of a .qmail file in order; `forwardOnly` when its x bit is set. */
export function* steps(
  lines: readonly InstructionLine[],
  forwardOnly: boolean,
): Generator<DeliveryStep> {
  let only = forwardOnly;
  for (const { number, instruction } of lines) {
    if (instruction.type === "list") {
      only = true;
    } else {
      const kind = KINDS[instruction.type];
      yield { number, instruction, kind, allowed: !only || kind === "forward" };
    }
  }
}

/** A .qmail file that no one can mean; the text is the report. */
export class DotQmailError extends Error {}

/** The instructions of a .qmail file in order. Throws DotQmailError when its first line is blank. */
export function parseDotQmail(text: string): InstructionLine[] {
  const lines: InstructionLine[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    // A NUL ends a line, as it does for every program that could be given the rest.
    const instruction = parseLine(line.replace(/[ \t]+$/, "").replace(/\0.*/s, ""));
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

/** The envelope sender of forwards: what files the address has besides its own decides (dot-qmail(5)). */
export function newSender(
  { local, host, sender }: { local: string; host: string; sender: string },
  has: { readonly owner: boolean; readonly ownerDefault: boolean },
): string {
  if (isBounce(sender) || !has.owner) return sender;
  return has.ownerDefault ? `${local}-owner-@${host}-@[]` : `${local}-owner@${host}`;
}

/** Whether `sender` is that of a bounce, or of a bounce's bounce: those are never replaced. */
export function isBounce(sender: string): boolean {
  return sender === "" || sender === "#@[]";
}

/** An extension as part of a file name: lower case, dots as colons, so it cannot leave the directory. */
export function safeExtension(ext: string): string {
  return lowerAscii(ext).replaceAll(".", ":");
}
