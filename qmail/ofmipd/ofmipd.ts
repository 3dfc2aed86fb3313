/**
 * ofmipd: takes messages from mail programs, whose header and addresses need not be complete, and relays them
 * anywhere: `ofmipd [ name.cdb ]` (ofmipd(8), the OFMIP of http://cr.yp.to/proto/ofmip.html). One session on descriptors
 * 0 and 1, as under tcpserver; whoever may connect may send, so let tcpserver's rules choose who may.
 *
 * Unlike mess822's it takes no bare LF for the end of a line, and counts hops.
 */

import { resolve } from "node:path";
import { programEnv } from "../arguments.ts";
import { CdbFile } from "../cdb/cdb.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { oneSession } from "../smtpd/classic.ts";
import { parseOptions } from "../smtpd/options.ts";
import { findName } from "./names.ts";
import { OfmipRewriting } from "./rewriting.ts";

async function main([names, ...more]: readonly string[]): Promise<void> {
  if (more.length > 0) {
    process.stderr.write("ofmipd: usage: ofmipd [ name.cdb ]\n");
    process.exit(EXIT.hard);
  }
  const home = qmailHome();
  const table = names === undefined ? null : new CdbFile(resolve(names));
  const rewriting = () =>
    new OfmipRewriting({
      control: new Control(home),
      env: programEnv(),
      find: (address) => table && findName(table, address),
      now: () => Math.floor(Date.now() / 1000),
      pid: process.pid,
    });
  const env = { ...process.env, RELAYCLIENT: process.env.RELAYCLIENT ?? "" };
  await oneSession(home, env, { ...parseOptions([]), rewriting });
}

if (import.meta.main) {
  process.title = "ofmipd";
  process.umask(0o077);
  await main(process.argv.slice(2));
}
