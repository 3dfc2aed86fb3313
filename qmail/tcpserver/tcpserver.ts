/**
 * tcpserver: runs a program for each TCP connection, `tcpserver [opts] host port program ...`
 * (tcpserver(1)).
 *
 * The program gets the connection itself as descriptors 0 and 1, in blocking mode: not a byte of it
 * passes through us. Its process begins when the lookups are done, so that a client who is denied costs none; the
 * lines about such a client bear our own process number.
 */

import { lookup } from "node:dns/promises";
import { createServer, type Server } from "node:net";
import { EXIT } from "../exit.ts";
import { systemReason } from "../system-reason.ts";
import { Doorkeeper } from "./doorkeeper.ts";
import { parseServerOptions, type ServerOptions, USAGE } from "./options.ts";
import { portNumber } from "./port.ts";
import * as words from "./words.ts";

class FatalError extends Error {}

/** What to bind for `host`; undefined: every address. */
async function address({ host, family, networkInterface }: ServerOptions): Promise<string> {
  if (host === "0" || host === ":0") return family === 4 ? "0.0.0.0" : "::";
  try {
    const found = await lookup(host, { family: family === 4 ? 4 : 0 });
    return networkInterface ? `${found.address}%${networkInterface}` : found.address;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTFOUND") {
      throw new FatalError(`no IP address for ${host}`);
    }
    throw new FatalError(
      `temporarily unable to figure out IP address for ${host}: ${systemReason(error)}`,
    );
  }
}

function bind(server: Server, at: { host: string; port: number; backlog: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      // A kernel without IPv6 has the addresses of IPv4 only.
      if (error.code === "EAFNOSUPPORT" && at.host === "::") {
        bind(server, { ...at, host: "0.0.0.0" }).then(resolve, reject);
      } else reject(new FatalError(`unable to bind: ${systemReason(error)}`));
    });
    server.listen(at, resolve);
  });
}

/** For good, before anything of a client is looked at. */
function become({ gid, uid }: ServerOptions): void {
  try {
    if (gid !== null) {
      process.setgroups?.([gid]);
      process.setgid?.(gid);
    }
  } catch (error) {
    throw new FatalError(`unable to set gid: ${systemReason(error)}`);
  }
  try {
    if (uid !== null) process.setuid?.(uid);
  } catch (error) {
    throw new FatalError(`unable to set uid: ${systemReason(error)}`);
  }
}

async function serve(options: ServerOptions, say: (line: string) => void): Promise<void> {
  const port = portNumber(options.port);
  if (port === null) {
    throw new FatalError(`unable to figure out port number for ${options.port}`);
  }
  const host = await address(options);
  const doorkeeper = new Doorkeeper(options, { env: process.env, say });
  // What is read is the program's: not a byte is ours. The program may go on writing after the client's end.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) =>
    doorkeeper.came(socket),
  );
  await bind(server, { host, port, backlog: options.backlog });
  // Accepting can fail for want of descriptors: who comes then waits.
  server.on("error", (error) => say(words.fatal(`unable to accept: ${systemReason(error)}`)));
  become(options);
  if (options.printPort) {
    process.stdout.write(`${(server.address() as { port: number }).port}\n`);
  }
  doorkeeper.open();
}

async function main(args: readonly string[]): Promise<void> {
  const options = parseServerOptions(args, process.env);
  if (!options) {
    process.stderr.write(`${USAGE}\n`);
    process.exit(EXIT.hard);
  }
  const say = (line: string) => {
    if (options.verbosity > 0) process.stderr.write(line, "latin1");
  };
  // The programs that run go on.
  process.on("SIGTERM", () => process.exit(EXIT.ok));
  process.stderr.on("error", () => {});
  try {
    await serve(options, say);
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    say(words.fatal(error.message));
    process.exit(EXIT.soft);
  }
}

if (import.meta.main) await main(process.argv.slice(2));
