/** `qmailctl log explain`: what a line, a text or a code means, why it comes, and what to run next. */

import { parseTai64n, STAMP_LENGTH } from "../../qmail/multilog/tai64n.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { CLASSES, CODES, EXIT_CODES, TEXTS } from "./explain/explanations.ts";

export interface Answer {
  readonly subject: string;
  readonly meaning: string;
  readonly causes: readonly string[];
  readonly next: readonly string[];
}

/** Explains `words`, which together are one text. */
export function logExplain({ words, output }: { words: readonly string[]; output: Output }): void {
  const text = words.join(" ").trim();
  if (text === "") {
    throw new UsageError("log explain needs a line, a text or a code", [
      "for example: qmailctl log explain 4.2.1",
      'or: qmailctl log explain "qq temporary problem (#4.3.0)"',
    ]);
  }
  const answers = explain(text);
  if (answers.length === 0) {
    throw new CommandError(`nothing is known about "${text}"`, {
      hints: ["a code alone may say more: 5.1.1, or an exit code: 111"],
    });
  }
  output.data(answers);
  for (const [at, { subject, meaning, causes, next }] of answers.entries()) {
    if (at > 0) output.line();
    output.line(`${subject}: ${meaning}`);
    for (const cause of causes) output.line(`  perhaps: ${cause}`);
    for (const step of next) output.line(`  next:    ${step}`);
  }
}

/** Everything that is known about `text`: its words first, then the codes in it. */
export function explain(text: string): Answer[] {
  const plain = (parseTai64n(text) === null ? text : text.slice(STAMP_LENGTH + 1))
    .replace(/^delivery \d+: (?:success|failure|deferral): /, "")
    .replaceAll("_", " ");
  const known = TEXTS.find(({ pattern }) => pattern.test(plain));
  const answers: Answer[] = known ? [{ subject: firstWords(plain), ...known }] : [];
  const code = /(?:^|[^\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])/.exec(plain);
  if (code) answers.push(statusCode(code));
  const exit = /^(?:exit(?: code)? ?)?(\d{1,3})$/i.exec(plain)?.[1];
  if (exit !== undefined) answers.push(...number(Number(exit)));
  return answers.map(({ subject, meaning, causes, next }) => ({ subject, meaning, causes, next }));
}

function firstWords(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function statusCode([, first = "", second = "", third = ""]: RegExpExecArray): Answer {
  const detail = CODES[`${second}.${third}`] ?? CODES[`${second}.0`] ?? "no registered meaning";
  const meaning = `${detail}; ${CLASSES[first]}`;
  return { subject: `${first}.${second}.${third}`, meaning, causes: [], next: [] };
}

function number(value: number): Answer[] {
  const meaning = EXIT_CODES[value];
  const answers: Answer[] = [];
  if (meaning) answers.push({ subject: `exit code ${value}`, meaning, causes: [], next: [] });
  const reply = value >= 200 ? CLASSES[String(value)[0] ?? ""] : undefined;
  if (reply) answers.push({ subject: `SMTP reply ${value}`, meaning: reply, causes: [], next: [] });
  return answers;
}
