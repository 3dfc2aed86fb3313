/** qmail-tcpok: forgets which hosts have timed out, so that all are tried again (qmail-tcpok(8)). */

import { closeSync, openSync, writeSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { TCPTO_SIZE } from "./tcpto.ts";

if (import.meta.main) {
  const path = `${qmailHome()}/queue/lock/tcpto`;
  try {
    const fd = openSync(path, "r+");
    writeSync(fd, Buffer.alloc(TCPTO_SIZE), 0, TCPTO_SIZE, 0);
    closeSync(fd);
  } catch (error) {
    process.stderr.write(
      `qmail-tcpok: fatal: unable to write ${path}: ${(error as Error).message}\n`,
    );
    process.exitCode = EXIT.soft;
  }
}
