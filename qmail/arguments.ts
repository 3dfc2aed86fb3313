/**
 * What a program was started with, as byte strings. Node decodes arguments and environment as UTF-8, and
 * what is none becomes U+FFFD: then the bytes themselves are read from the kernel, where it shows them.
 */

import { readFileSync } from "node:fs";

/** Environment variables as byte strings. */
export type ByteEnv = Readonly<Record<string, string | undefined>>;

/** What Node puts where bytes are not UTF-8; a real one is read from the kernel as itself. */
const LOST = "\ufffd";

/** The bytes of `text`, which Node has decoded as UTF-8, as a byte string. */
export function toBytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/**
 * The arguments of this program as byte strings. To be called before `process.title` is set, which Node
 * writes over them.
 */
export function programArgs(): string[] {
  const args = process.argv.slice(2);
  if (args.some((arg) => arg.includes(LOST))) {
    const all = strings("/proc/self/cmdline");
    // Before ours stand Node, its own options, and the program.
    if (all && all.length > args.length) return all.slice(all.length - args.length);
  }
  return args.map(toBytes);
}

/** The environment that this program was started with, as byte strings. */
export function programEnv(): ByteEnv {
  const decoded = Object.entries(process.env);
  if (decoded.some(([name, value]) => name.includes(LOST) || value?.includes(LOST))) {
    const all = strings("/proc/self/environ");
    if (all) return Object.fromEntries(all.filter((each) => each.includes("=")).map(variable));
  }
  return byteEnv(process.env);
}

/** The environment `env`, which Node has decoded, as byte strings. */
export function byteEnv(env: NodeJS.ProcessEnv): ByteEnv {
  const variables = Object.entries(env);
  return Object.fromEntries(variables.map(([name, value = ""]) => [toBytes(name), toBytes(value)]));
}

function variable(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}

/** The NUL-terminated strings in a file; null when there is none to be read. */
function strings(path: string): string[] | null {
  try {
    return readFileSync(path, "latin1").split("\0").slice(0, -1);
  } catch {
    return null;
  }
}
