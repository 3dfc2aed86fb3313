/** qmail-pop3d: lets a user read and delete his mail, `qmail-pop3d maildir` (qmail-pop3d(8)). */

import { Control } from "../control/control.ts";
import { qmailHome } from "../home.ts";
import { isSandbox } from "../ids.ts";
import { Connection } from "../net/connection.ts";
import { readPop3Limits } from "./limits.ts";
import { Mailbox } from "./mailbox.ts";
import * as replies from "./replies.ts";
import { Session } from "./session.ts";
import { stdioEnds } from "./stdio.ts";

/** The mailbox in `maildir`; a string is the reply that says why there is none. */
function openMailbox(maildir: string | undefined): Mailbox | string {
  try {
    process.chdir(maildir ?? "");
  } catch {
    return replies.noMaildir();
  }
  try {
    return new Mailbox(".", Math.floor(Date.now() / 1000));
  } catch {
    return replies.cannotScan();
  }
}

function main([maildir]: readonly string[]): void {
  // Root has no Maildir: who comes here as root has not been through checkpassword.
  if (process.getuid?.() === 0 && !isSandbox(qmailHome())) {
    process.stderr.write("qmail-pop3d invoked as uid 0, terminating\n");
    process.exit(1);
  }
  const limits = readPop3Limits(new Control(qmailHome()));
  process.stdout.on("error", () => process.exit(0));
  const mailbox = openMailbox(maildir);
  if (typeof mailbox === "string") {
    process.stdout.write(mailbox, () => process.exit(0));
    return;
  }
  const ends = stdioEnds(() => process.exit(0));
  new Connection({ ends }, (wire) => new Session(mailbox, limits, wire));
}

if (import.meta.main) {
  process.umask(0o077);
  main(process.argv.slice(2));
}
