/**
 * What was written behind a flag, as it was written.
 *
 * cac turns whatever looks like a number into one: `--subject 007` would become 7, `--body ""` 0. So
 * such arguments get a mark before they are parsed, which is taken off when they are read.
 */

import { UsageError } from "../commands/output.ts";

/** No argument of a process can hold it. */
const MARK = "\0";

/** `args` with every number marked as text. */
export function protect(args: readonly string[]): string[] {
  return args.map((arg) => {
    const [, flag = "", value = ""] = /^(--[^=]+=)?(.*)$/s.exec(arg) ?? [];
    // A lone "-" is standard input, and no option.
    return Number.isNaN(Number(value)) && value !== "-" ? arg : `${flag}${MARK}${value}`;
  });
}

/** `text` without the marks of `protect`. */
export function unprotect(text: string): string {
  return text.replaceAll(MARK, "");
}

/** The flag `name` as a field of options; none when it was not given. */
export function text<K extends string>(name: K, value: unknown): Partial<Record<K, string>> {
  if (value === undefined) return {};
  if (Array.isArray(value)) throw new UsageError(`--${name} can be given only once`);
  return { [name]: unprotect(String(value)) } as Partial<Record<K, string>>;
}

/** All values of a flag that may be repeated. */
export function texts(value: unknown): string[] {
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map((each) => unprotect(String(each)));
}

/** The flag `name` as a whole number above 0; `fallback` when it was not given. */
export function wholeNumber(name: string, value: unknown, fallback: number): number {
  const { [name]: written } = text(name, value);
  if (written === undefined) return fallback;
  const number = Number(written);
  if (/^\d+$/.test(written) && Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`--${name} needs a whole number above 0, not "${written}"`);
}

/** The flag `name` as seconds, perhaps with a fraction: from a tenth to a day; `fallback` when it was not given. */
export function seconds(name: string, value: unknown, fallback: number): number {
  const { [name]: written } = text(name, value);
  if (written === undefined) return fallback;
  const number = Number(written);
  if (/^\d+(\.\d+)?$/.test(written) && number >= 0.1 && number <= 86_400) return number;
  throw new UsageError(`--${name} needs seconds from 0.1 to 86400, not "${written}"`);
}
