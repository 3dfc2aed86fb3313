/** predate: gives a program standard input with a Date field, in local time, before it. */

import { spawn } from "node:child_process";
import { EXIT } from "../exit.ts";
import { exitWith, type Outcome, refused } from "./context.ts";

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
  { input, date }: { input: NodeJS.ReadableStream; date: Date },
): Promise<Outcome> {
  const [program, ...rest] = args;
  if (program === undefined) return Promise.resolve(refused("usage: predate child"));
  return new Promise((resolve) => {
    const child = spawn(program, rest, { stdio: ["pipe", "inherit", "inherit"] });
    // A child that does not read to the end is no failure of ours: its exit code tells.
    child.stdin.on("error", () => {});
    child.stdin.write(localDateField(date));
    input.pipe(child.stdin);
    child.on("error", (error) =>
      resolve({ code: EXIT.soft, message: `unable to run ${program}: ${error.message}` }),
    );
    child.on("close", (code) =>
      resolve(
        code === null ? { code: EXIT.soft, message: "child crashed" } : { code, message: "" },
      ),
    );
  });
}

if (import.meta.main) {
  const options = { input: process.stdin, date: new Date() };
  exitWith("predate", await predate(process.argv.slice(2), options));
}
