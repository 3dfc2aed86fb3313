/**
 * qmail-popup: reads a POP name and password, and runs a subprogram that checks them:
 * `qmail-popup hostname subprogram ...` (qmail-popup(8)). With `--listen` or `--listen-tls` it is the POP3 service,
 * which has all connections in one process until they have logged in (service.ts).
 */

import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { failedAnswer, PACE } from "../checkpassword/pace.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { Connection, type Wire } from "../net/connection.ts";
import { Authorization } from "./authorization.ts";
import { readPop3Limits } from "./limits.ts";
import * as replies from "./replies.ts";
import { stdioEnds } from "./stdio.ts";

/** C qmail's code for every end. */
const LEAVE = 1;
const PASSWORDS_FD = 3;

/** One session on descriptors 0 and 1. */
function oneSession(hostname: string, subprogram: readonly [string, ...string[]]): void {
  const leave = () => process.exit(LEAVE);
  const timestamp = `<${process.pid}.${Math.floor(Date.now() / 1000)}@${hostname}>`;
  const limits = readPop3Limits(new Control(qmailHome()));
  const begin = (wire: Wire) =>
    new Authorization(
      {
        limits: () => limits,
        timestamp,
        canTls: false,
        withoutTls: true,
        login: (user, password) => runSubprogram(subprogram, [user, password, timestamp], wire),
        ended: () => {},
      },
      wire,
    );
  new Connection({ ends: stdioEnds(leave) }, begin);
}

/** Gives it the connection and the words, and says what came of it when it was no session. */
function runSubprogram(
  [program, ...args]: readonly [string, ...string[]],
  words: readonly string[],
  wire: Wire,
): void {
  const began = PACE.now();
  const child = spawn(program, args, { stdio: ["inherit", "inherit", "inherit", "pipe"] });
  // Paused only, Node might still read, and what follows is the program's.
  process.stdin.destroy();
  const say = async (reply: string) => {
    await failedAnswer(began);
    wire.write(reply);
    wire.end(false);
  };
  child.on("error", () => say(replies.refused()));
  child.on("exit", (code) => {
    if (code === null) say(replies.crashed());
    else if (code !== 0) say(replies.refused());
    else process.exit(LEAVE);
  });
  const pipe = child.stdio[PASSWORDS_FD] as Writable;
  pipe.on("error", () => {});
  pipe.end(Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1"));
}

async function main(args: string[]): Promise<void> {
  const [hostname, program, ...more] = args;
  if (hostname?.startsWith("--")) {
    const { runService } = await import("./service.ts");
    await runService(qmailHome(), args);
    return;
  }
  process.stdout.on("error", () => process.exit(LEAVE));
  if (hostname === undefined || program === undefined) {
    process.stdout.write(replies.popupUsage(), () => process.exit(LEAVE));
    return;
  }
  oneSession(hostname, [program, ...more]);
}

if (import.meta.main) {
  process.title = "qmail-popup";
  process.umask(0o077);
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`qmail-popup: fatal: ${(error as Error).message}\n`);
    process.exit((error as { usage?: boolean }).usage ? EXIT.hard : EXIT.soft);
  }
}
