/** predate: gives a program standard input with a Date field, in local time, before it. */

import { runOn } from "../local/child.ts";
import { exitWith, type Outcome, refused } from "./context.ts";
import { withHeader } from "./copy.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Date: 23 Nov 2026 20:00:00 +0100` with its newline, in the time zone of this process. */
export function localDateField(date: Date): string {
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? "-" : "+"}${two(Math.abs(east) / 60)}${two(Math.abs(east) % 60)}`;
  const day = `${date.getDate()} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`;
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `Date: ${day} ${time} ${zone}\n`;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}

/** Runs the program `args` with the field and then `input` as its standard input. */
export function predate(
  args: readonly string[],
  { input, date }: { input: AsyncIterable<Buffer>; date: Date },
): Promise<Outcome> {
  if (args.length === 0) return Promise.resolve(refused("usage: predate child"));
  return runOn(args, withHeader(localDateField(date), input));
}

if (import.meta.main) {
  const options = { input: process.stdin, date: new Date() };
  exitWith("predate", await predate(process.argv.slice(2), options));
}
