/** `qmailctl cdb`: compiles the rules of who may connect, control/tcp.* to control/tcp.*.cdb. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RuleError } from "../qmail/tcpserver/compile.ts";
import { tcprules } from "../qmail/tcpserver/tcprules.ts";
import { CommandError, type Output } from "./output.ts";
import { checkInstalled } from "./supervisor.ts";

/** Compiles every rules file of the mail server in `home`; they count from the next connection on. */
export async function cdb({ home, output }: { home: string; output: Output }): Promise<void> {
  checkInstalled(home);
  const directory = join(home, "control");
  const names = readdirSync(directory).filter((name) => /^tcp\.[^.]+$/.test(name));
  for (const name of names) compile(join(directory, name));
  output.data({ compiled: names });
  if (names.length > 0) output.line(`Compiled: ${names.join(", ")}.`);
  else output.line(`There is nothing to compile: ${join(directory, "tcp.smtp")} is missing.`);
}

function compile(path: string): void {
  try {
    tcprules(readFileSync(path, "latin1"), { cdb: `${path}.cdb`, temporary: `${path}.tmp` });
  } catch (error) {
    const hints = existsSync(`${path}.cdb`) ? ["the rules compiled before stay in force"] : [];
    if (error instanceof RuleError) {
      throw new CommandError(`${path}, line ${error.number}: no rule: "${error.line}"`, {
        hints: ['a rule is like 127.:allow,RELAYCLIENT="" or 192.0.2.9:deny', ...hints],
        cause: error,
      });
    }
    throw new CommandError(`cannot compile ${path}: ${(error as Error).message}`, {
      hints,
      cause: error,
    });
  }
}
