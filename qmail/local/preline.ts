/** preline(1): in a .qmail file, gives a program the message with the lines before it that mail programs expect. */

import { type ByteEnv, programEnv } from "../arguments.ts";
import { getopt } from "../getopt.ts";
import { exitWith, type Outcome, refused } from "../inject/context.ts";
import { withHeader } from "../inject/copy.ts";
import { runOn } from "./child.ts";

const USAGE = refused("usage: preline cmd [ arg ... ]");

/** The bytes before the message, and the program; null when the arguments or variables are not right. */
export function prelineOf(
  args: readonly string[],
  { UFLINE, RPLINE, DTLINE }: ByteEnv,
): { readonly lines: string; readonly program: readonly string[] } | null {
  const parsed = getopt(args, "frdFRD");
  if (UFLINE === undefined || RPLINE === undefined || DTLINE === undefined) return null;
  if (typeof parsed === "string" || parsed.rest.length === 0) return null;
  const wanted = { f: true, r: true, d: true };
  for (const [letter] of parsed.options) {
    const lower = letter.toLowerCase() as keyof typeof wanted;
    wanted[lower] = letter !== lower;
  }
  const lines = (wanted.f ? UFLINE : "") + (wanted.r ? RPLINE : "") + (wanted.d ? DTLINE : "");
  return { lines, program: parsed.rest };
}

/** Runs preline on `input`. */
export function preline(
  args: readonly string[],
  { env, input }: { env: ByteEnv; input: AsyncIterable<Buffer> },
): Promise<Outcome> {
  const order = prelineOf(args, env);
  if (!order) return Promise.resolve(USAGE);
  return runOn(order.program, withHeader(order.lines, input));
}

if (import.meta.main) {
  const options = { env: programEnv(), input: process.stdin };
  exitWith("preline", await preline(process.argv.slice(2), options));
}
