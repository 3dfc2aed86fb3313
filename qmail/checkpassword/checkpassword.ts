/**
 * checkpassword: reads login NUL password NUL timestamp NUL from descriptor 3, and when they are right runs
 * the program of its arguments as their user: `checkpassword program [arg ...]` (the interface of
 * http://cr.yp.to/checkpwd/interface.html). Exits with 1 when they are wrong, 2 when it is not used as it must be,
 * 111 for trouble that may pass.
 *
 * With $POPBEFORESMTP=DIRECTORY the right password opens relaying for $TCPREMOTEIP (relay.ts).
 */

import { accessSync, closeSync, constants, readSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { type Credentials, Logins } from "./logins.ts";
import { failedAnswer } from "./pace.ts";
import { openRelay } from "./relay.ts";
import type { Account } from "./userfile.ts";

const PASSWORDS_FD = 3;
const INPUT_MAX = 512;
const CODES = { refused: 1, misused: 2, temporary: EXIT.soft } as const;

/** The three words in `input`; null when they are not there. */
export function parseCredentials(input: string): Credentials | null {
  const [login, password, timestamp, end] = input.split("\0");
  if (login === undefined || password === undefined || timestamp === undefined) return null;
  return end === undefined ? null : { login, password, timestamp };
}

function readInput(): string | null {
  const buffer = Buffer.alloc(INPUT_MAX + 1);
  let length = 0;
  for (;;) {
    const count = readSync(PASSWORDS_FD, buffer, length, buffer.length - length, null);
    length += count;
    if (length > INPUT_MAX) return null;
    if (count > 0) continue;
    // The program that follows has no business with it.
    closeSync(PASSWORDS_FD);
    return buffer.toString("latin1", 0, length);
  }
}

/** Gives up root for `account`, for good. In a sandbox there is none to give up. */
export function becomeAccount({ user, uid, gid }: Account): void {
  if (process.getuid?.() !== 0) {
    if (process.getuid?.() !== uid) throw new Error(`only root can become uid ${uid}`);
    return;
  }
  // A login of the site's own has no groups but its gid.
  try {
    (process as unknown as { initgroups(user: string, gid: number): void }).initgroups(user, gid);
  } catch {
    process.setgroups?.([gid]);
  }
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** Where execvp would find `program`; null: nowhere. */
function findProgram(program: string): string | null {
  if (program.includes("/")) return program;
  for (const directory of (process.env.PATH ?? "/usr/bin:/bin").split(":")) {
    const path = join(directory || ".", program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Perhaps in the next.
    }
  }
  return null;
}

/** Whoever has the right password may read his mail, whether or not he may send some. */
function letRelay(directory: string, ip: string): void {
  try {
    openRelay(directory, ip);
  } catch (error) {
    process.stderr.write(`checkpassword: cannot open relaying: ${(error as Error).message}\n`);
  }
}

async function main([program, ...args]: readonly string[]): Promise<number> {
  if (program === undefined) return CODES.misused;
  let input: string | null;
  try {
    input = readInput();
  } catch {
    return CODES.misused;
  }
  if (input === null) return CODES.refused;
  const credentials = parseCredentials(input);
  if (!credentials) return CODES.misused;
  const result = await new Logins(qmailHome()).check(credentials);
  if (result.status !== "ok") {
    await failedAnswer(0);
    return CODES[result.status];
  }
  const { account } = result;
  const { POPBEFORESMTP, TCPREMOTEIP } = process.env;
  if (POPBEFORESMTP && TCPREMOTEIP) letRelay(POPBEFORESMTP, TCPREMOTEIP);
  becomeAccount(account);
  process.chdir(account.home);
  const path = findProgram(program);
  if (path === null) return CODES.temporary;
  accessSync(path, constants.X_OK);
  const { user: USER, home: HOME, shell: SHELL } = account;
  process.execve?.(path, [program, ...args], { ...process.env, USER, HOME, SHELL });
  return CODES.temporary;
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`checkpassword: ${(error as Error).message}\n`);
    process.exitCode = CODES.temporary;
  }
}
