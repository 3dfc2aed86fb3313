/**
 * What a delivery would do, without doing it: the same checks and the same choice of instructions, and for
 * each instruction whether something is in its way. Sees what its user sees, so it runs as the recipient.
 */

import { isAbsolute, join } from "node:path";
import type { Report } from "../spawn/report.ts";
import { type Delivery, dotQmailCandidates, steps } from "./dotqmail.ts";
import type { LocalRequest } from "./environment.ts";
import { checkHome, type Found, findInstructions } from "./find.ts";
import { failureReport, notForwarding } from "./local.ts";
import { maildirTrouble } from "./maildir.ts";
import { mboxTrouble } from "./mbox.ts";

export interface LineOutlook {
  /** Line of the .qmail file or of the default delivery, from 1. */
  readonly number: number;
  readonly instruction: Delivery;
  /** For a Maildir or an mbox: where it is. */
  readonly path: string | null;
  /** What would be reported, and end the delivery; null when nothing is in the way. */
  readonly trouble: Report | null;
}

export interface Outlook {
  /** Names of .qmail files looked for, in order; the last of them is there, if one is. */
  readonly tried: readonly string[];
  /** Null when no instructions could be found: then `trouble` says why. */
  readonly found: Omit<Found, "lines" | "text"> | null;
  /** Up to the first that would fail. */
  readonly lines: readonly LineOutlook[];
  /** What would be reported instead of success. */
  readonly trouble: Report | null;
}

/** What would become of a message for `request`. */
export function outlook(request: LocalRequest): Outlook {
  const names = dotQmailCandidates(request.dash, request.ext).map(({ name }) => name);
  let found: Found;
  try {
    checkHome(request.home);
    found = findInstructions(request);
  } catch (error) {
    return { tried: names, found: null, lines: [], trouble: failureReport(error) };
  }
  const at = names.findIndex((name) => `${request.home}/${name}` === found.file);
  const lines = lineOutlooks(request, found);
  const { lines: _, text: __, ...rest } = found;
  return {
    tried: at < 0 ? names : names.slice(0, at + 1),
    found: rest,
    lines,
    trouble: lines.at(-1)?.trouble ?? null,
  };
}

function lineOutlooks({ home }: LocalRequest, found: Found): LineOutlook[] {
  const outlooks: LineOutlook[] = [];
  for (const { number, instruction, kind, allowed } of steps(found.lines, found.forwardOnly)) {
    const path = pathOf(instruction, home);
    const failure = allowed ? fileTrouble(instruction, path) : notForwarding(kind);
    const trouble = failure && failureReport(failure);
    outlooks.push({ number, instruction, path, trouble });
    if (trouble) break;
  }
  return outlooks;
}

function pathOf(instruction: Delivery, home: string): string | null {
  if (instruction.type !== "maildir" && instruction.type !== "mbox") return null;
  return isAbsolute(instruction.path) ? instruction.path : join(home, instruction.path);
}

function fileTrouble(instruction: Delivery, path: string | null) {
  if (path === null) return null;
  if (instruction.type === "mbox") return mboxTrouble(path, instruction.path);
  return maildirTrouble(path);
}
