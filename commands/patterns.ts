/** What a person writes to say which: patterns, ranges, ages, sizes. Pure, each a predicate over one value. */

import { UsageError } from "./output.ts";

export type Test<T> = (value: T) => boolean;

/** True when one of `tests` holds; of none, nothing is asked. */
export function anyOf<T>(tests: readonly Test<T>[]): Test<T> {
  const [only] = tests;
  if (tests.length === 1 && only) return only;
  return (value) => tests.some((test) => test(value));
}

/** `pattern` with * and ? as in file names, for all of a text; capitals do not count. */
export function whole(pattern: string): Test<string> {
  return tester(`^${translated(pattern)}$`);
}

/** As `whole`, but found anywhere in the text. */
export function within(pattern: string): Test<string> {
  return tester(translated(pattern));
}

function tester(source: string): Test<string> {
  const expression = new RegExp(source, "is");
  return (text) => expression.test(text);
}

function translated(pattern: string): string {
  const literal = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  // Several * say no more than one, and would take longer.
  return literal.replace(/\*+/g, ".*").replaceAll("?", ".");
}

/** "3", "3-" (or more), "-3" (or less), "3-5"; several with commas. `what` is for the error. */
export function range(text: string, what: string): Test<bigint> {
  return anyOf(
    text.split(",").map((part) => {
      const match = /^(?:(\d+)|(\d+)-(\d*)|-(\d+))$/.exec(part.trim());
      if (!match) {
        throw new UsageError(`${what} needs a number or a range, not "${text}"`, [
          "for example: 3, 3- (3 or more), -3 (3 or less), 3-5, 1,4",
        ]);
      }
      const [, only, from, to, upTo] = match;
      if (only !== undefined) return equal(BigInt(only));
      const least = BigInt(from ?? 0);
      const most = to || upTo ? BigInt(to || upTo || 0) : null;
      return (value) => value >= least && (most === null || value <= most);
    }),
  );
}

function equal(wanted: bigint): Test<bigint> {
  return (value) => value === wanted;
}

const BYTES: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** "500", "20k", "1.5M", "2G": bytes, in steps of 1024. */
export function bytes(text: string, what: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmg]?)i?b?$/i.exec(text) ?? [];
  if (amount !== undefined) return Number(amount) * (BYTES[unit.toLowerCase()] as number);
  throw new UsageError(`${what} needs a size, not "${text}"`, ["for example: 500, 20k, 1.5M, 2G"]);
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** "2h", "1d12h" before `now`, or a date, as milliseconds since 1970. */
export function moment(text: string, what: string, now: number): number {
  if (/^(\d+[smhdw])+$/.test(text)) {
    const parts = text.matchAll(/(\d+)([smhdw])/g);
    const ago = [...parts].reduce(
      (sum, [, amount, unit = ""]) => sum + Number(amount) * (SECONDS[unit] as number),
      0,
    );
    return now - ago * 1000;
  }
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text).getTime() : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new UsageError(`${what} needs an age or a date, not "${text}"`, [
    "for example: 90s, 2h, 1d12h, 2026-11-24, 2026-11-24T15:00",
  ]);
}
