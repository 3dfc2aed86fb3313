/** qmail-tcpok: forgets which hosts have timed out, so that all are tried again (qmail-tcpok(8)). */

import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { clearTcpto } from "./tcpto.ts";

if (import.meta.main) {
  const path = `${qmailHome()}/queue/lock/tcpto`;
  try {
    clearTcpto(path);
  } catch (error) {
    process.stderr.write(
      `qmail-tcpok: fatal: unable to write ${path}: ${(error as Error).message}\n`,
    );
    process.exitCode = EXIT.soft;
  }
}
