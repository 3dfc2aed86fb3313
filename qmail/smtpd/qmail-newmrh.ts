/**
 * qmail-newmrh: makes control/morercpthosts.cdb of control/morercpthosts, so that thousands of domains
 * cost qmail-smtpd one look-up each.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeCdb } from "../cdb/cdbmake.ts";
import { lowerAscii } from "../control/constmap.ts";
import { EXIT } from "../exit.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { qmailHome } from "../home.ts";

/** The database of the lines of morercpthosts. */
export function morercpthostsCdb(text: string): Buffer {
  const domains = text
    .split("\n")
    .map((line) => line.replace(/[ \t]+$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"));
  return makeCdb(
    domains.map((domain) => [Buffer.from(lowerAscii(domain), "latin1"), Buffer.alloc(0)]),
  );
}

/** Returns the exit code. */
function main(home: string): number {
  let doing = "read control/morercpthosts";
  try {
    const text = readFileSync(join(home, "control/morercpthosts"), "latin1");
    doing = "write control/morercpthosts.cdb";
    writeFileAtomic(join(home, "control/morercpthosts.cdb"), morercpthostsCdb(text), {
      mode: 0o644,
    });
    return EXIT.ok;
  } catch (error) {
    const { message } = error as Error;
    process.stderr.write(`qmail-newmrh: fatal: unable to ${doing}: ${message}\n`);
    return EXIT.soft;
  }
}

if (import.meta.main) process.exitCode = main(qmailHome());
