/** Where the logs lie that are being written: those of our services, or of a C qmail, where its guides put them. */

import { existsSync } from "node:fs";
import { CommandError } from "../output.ts";
import { liveLogs } from "./tail.ts";

/** As in Life with qmail and its heirs: current, smtpd/current; or send/current, smtpd/current. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  "/var/qmail": ["/var/log/qmail", "/var/log/qmail-send"],
};

/** The logs of the mail server in `home`, or `files` when there are some. Throws CommandError when there are none. */
export function livePaths(home: string, files: readonly string[]): string[] {
  const usual = [`${home}/log`, ...(USUAL[home] ?? [])].filter(existsSync);
  const roots = files.length > 0 ? files : usual.slice(0, 1);
  try {
    const paths = roots.flatMap((root) => liveLogs(root));
    if (paths.length > 0) return paths;
  } catch (error) {
    throw cannotRead((error as Error).message);
  }
  throw cannotRead(`there is none in ${roots[0] ?? `${home}/log`}`);
}

/** What to say when a log cannot be read. */
export function cannotRead(why: string): CommandError {
  return new CommandError(`cannot read the log: ${why}`, {
    hints: [
      "run it as root, or as the user who installed the mail server",
      "or say where the log is: --file /var/log/qmail, --home DIR",
    ],
  });
}
