/**
 * Passwords of system users. How they are hashed is the system's business (Debian: yescrypt), so its own
 * helper is asked: unix_chkpwd of Linux-PAM gets the user as argument and the password, ended by a NUL, on standard input.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";

const PLACES = ["/usr/sbin/unix_chkpwd", "/sbin/unix_chkpwd", "/usr/bin/unix_chkpwd"];
const CHECK_MS = 20_000;

/** PAM's codes: right, wrong password, no such user. */
const PAM = { success: 0, authError: 7, userUnknown: 10 } as const;

/** What a password store says of a login. */
export type Check = "ok" | "refused" | "temporary";

/** Whether `password`, a byte string, is the one of the system user `user`, and the account is good. */
export async function checkSystemPassword(user: string, password: string): Promise<Check> {
  const helper = PLACES.find((path) => existsSync(path));
  if (!helper) return "temporary";
  // nonull: an empty password is none.
  const answer = await run(helper, { args: [user, "nonull"], input: `${password}\0` });
  if (answer !== PAM.success) return refusal(answer);
  const account = await run(helper, { args: [user, "chkexpiry"], input: "" });
  return account === PAM.success ? "ok" : refusal(account);
}

function refusal(code: number | null): Check {
  if (code === PAM.authError || code === PAM.userUnknown) return "refused";
  // Of an account that has expired there are several codes; of our own trouble there is none.
  return code === null || code < 0 ? "temporary" : "refused";
}

function run(
  helper: string,
  { args, input }: { args: readonly string[]; input: string },
): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(helper, args, {
      stdio: ["pipe", "ignore", "ignore"],
      env: {},
      timeout: CHECK_MS,
    });
    child.on("error", () => resolve(null));
    child.on("exit", (code) => resolve(code));
    child.stdin.on("error", () => {});
    child.stdin.end(Buffer.from(input, "latin1"));
  });
}
