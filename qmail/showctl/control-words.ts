/** What qmail-showctl says of one control file (C qmail: do_int, do_str, do_lst in qmail-showctl.c). */

import { Control, textOf } from "../control/control.ts";
import type { ControlFile } from "./control-files.ts";

const OOPS = "Oops! Trouble reading this file.\n";

type Kind<K> = Extract<ControlFile, { kind: K }>;

/** The lines about `file` of the installation in `home`, with the empty line before them. */
export function describe(home: string, file: ControlFile): string {
  return `\n${file.name}: ${words(home, file)}`;
}

/** False when control/`name` is not there; one that cannot be read is. */
export function exists(home: string, name: string): boolean {
  try {
    return textOf(`${home}/control/${name}`) !== null;
  } catch {
    return true;
  }
}

function words(home: string, file: ControlFile): string {
  try {
    switch (file.kind) {
      case "line":
        return lineWords(new Control(home), file);
      case "number":
        return numberWords(new Control(home), file);
      case "list":
        return listWords(home, file);
    }
  } catch {
    return OOPS;
  }
}

function lineWords(control: Control, file: Kind<"line">): string {
  const line = control.line(file.name);
  if (line !== null) return `${file.before}${safe(line)}.\n`;
  return `(Default.) ${file.before}${safe((file.me ? control.line("me") : null) ?? file.fallback)}.\n`;
}

function numberWords(control: Control, { name, fallback, before, after }: Kind<"number">): string {
  const digits = /^\d+/.exec(control.line(name) ?? "")?.[0];
  if (digits === undefined) return `(Default.) ${before}${fallback}${after}.\n`;
  return `${before}${asInt(digits)}${after}.\n`;
}

/** As C qmail holds it: a number beyond 32 bits is not the one that is written there. */
function asInt(digits: string): number {
  return Math.max(0, Number(BigInt.asIntN(32, BigInt(digits))));
}

function listWords(home: string, { name, none, before, after }: Kind<"list">): string {
  const text = textOf(`${home}/control/${name}`);
  if (text === null) return `(Default.) ${none}\n`;
  const lines = listed(text).map((line) => `${before}${safe(line)}${after}\n`);
  return `\n${lines.join("")}`;
}

/** As C qmail reads them: a NUL ends an entry, and one at the beginning of a line hides the line. */
function listed(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/[ \t]+$/, ""))
    .filter((line) => line !== "" && line[0] !== "#" && line[0] !== "\0")
    .flatMap((line) => line.split("\0"));
}

function safe(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
