/**
 * qmail-smtpd: without --listen one session on descriptors 0 and 1, under tcpserver or inetd
 * (qmail-smtpd(8)); with it the service that has all connections in one process. A checkpassword
 * program behind the options makes it offer AUTH, as with qmail's AUTH patches.
 */

import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { parseOptions, USAGE, UsageError } from "./options.ts";

async function main(args: string[]): Promise<void> {
  try {
    const options = parseOptions(args);
    if (options.listen.length > 0) {
      const { runService } = await import("./service.ts");
      await runService(qmailHome(), options);
    } else {
      const { oneSession } = await import("./classic.ts");
      await oneSession(qmailHome(), process.env, options);
    }
  } catch (error) {
    const usage = error instanceof UsageError;
    const { message } = error as Error;
    process.stderr.write(`qmail-smtpd: fatal: ${message}\n${usage ? `${USAGE}\n` : ""}`);
    process.exit(usage ? EXIT.hard : EXIT.soft);
  }
}

if (import.meta.main) {
  process.title = "qmail-smtpd";
  process.umask(0o077);
  await main(process.argv.slice(2));
}
