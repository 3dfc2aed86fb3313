/** user: the site's own logins. */

import type { CAC } from "cac";
import { UsageError } from "../commands/output.ts";
import { text } from "./arguments.ts";
import { common, type Flags } from "./flags.ts";
import { unknown } from "./mistakes.ts";

/** Adds the command that keeps the user file. */
export function userCommands(cli: CAC): void {
  cli
    .command(
      "user <action> [login]",
      "add, passwd, del, list: logins of users who are not the system's",
    )
    .option(
      "--as <user>",
      "add: the system user whose the mailbox is (default: whose the mail is, else alias)",
    )
    .option(
      "--mailhome <dir>",
      "add: where the Maildir is (default: where the mail goes, else in ~alias)",
    )
    .option("--scram", "add, passwd: keep keys for SCRAM-SHA-256 as well")
    .option("--cram", "add, passwd: keep the password itself, for CRAM-MD5 and APOP")
    .example("  echo secret | qmailctl user add joe@example.com")
    .action(async (action: string, login: string | undefined, flags: Flags) => {
      const user = await import("../commands/user.ts");
      const options = await common(flags);
      if (action === "list") return await user.userList(options);
      if (!["add", "passwd", "del"].includes(action)) {
        throw unknown("user action", action, ["add", "passwd", "del", "list"]);
      }
      if (login === undefined) throw new UsageError(`user ${action} needs a login`);
      const named = { ...options, login: String(login) };
      if (action === "del") return await user.userDel(named);
      const secret = {
        ...named,
        terminal: { input: process.stdin, output: process.stderr },
        scram: flags.scram === true,
        cram: flags.cram === true,
      };
      if (action === "passwd") return await user.userPasswd(secret);
      await user.userAdd({
        ...secret,
        ...text("as", flags.as),
        ...text("mailhome", flags.mailhome),
      });
    });
}
