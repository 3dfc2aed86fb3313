/** What install leaves as it is, since it is not its own, and yet should not be so: open keys, programs that others can change. */

import { statSync } from "node:fs";
import { exposure, exposureBesideRoot, keyAdvice } from "../../qmail/files/secret.ts";
import { programPath } from "../../qmail/programs.ts";
import type { Config } from "../config.ts";
import { distrust } from "../trusted.ts";

/** A line for each. */
export function warnings(config: Config): string[] {
  const keys = [...config.tls, ...(config.pop3?.certificates ?? [])].map(({ key }) => key);
  const warningOf = config.sandbox ? ownKeyWarning : rootsKeyWarning;
  return [...new Set(keys)].flatMap(warningOf).concat(programs(config).flatMap(programWarning));
}

function ownKeyWarning(path: string): string[] {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    const why = stat ? exposure(stat) : "it is not there";
    return why === null ? [] : [`the TLS key "${path}": ${why}`];
  } catch (error) {
    // Closed to us, as to whoever installs a sandbox with the keys of a real server.
    return [`the TLS key "${path}": it cannot be looked at: ${(error as Error).message}`];
  }
}

/** A service reads its key as root: nobody else needs to, nor may he put another in its place. */
function rootsKeyWarning(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return [`the TLS key "${path}": it is not there`];
  const open = exposureBesideRoot(stat);
  if (open !== null) return [`the TLS key "${path}": ${keyAdvice(path, open)}`];
  const why = distrust(path);
  return why === null ? [] : [`the TLS key "${path}": ${why}`];
}

/** What runs as root. In a sandbox nothing does but what is its user's anyway. */
function programs({ sandbox, submission, pop3 }: Config): string[] {
  if (sandbox) return [];
  const checkers = [submission?.command?.[0], pop3?.checkpassword[0]];
  const absolute = checkers.filter((path) => path?.startsWith("/")) as string[];
  return [process.execPath, programPath("qmail-start"), ...absolute];
}

function programWarning(path: string): string[] {
  try {
    const why = distrust(path);
    return why === null ? [] : [`"${path}" runs as root, and ${why}`];
  } catch (error) {
    return [`"${path}" cannot be looked at: ${(error as Error).message}`];
  }
}
