/**
 * tcp-env: from inetd, tells a program about its connection, `tcp-env [-rR] [-t seconds] program ...` (tcp-env(1)). The connection
 * is descriptor 0; not a byte of it is read here.
 */

import { spawn } from "node:child_process";
import { Socket } from "node:net";
import { constants } from "node:os";
import { EXIT } from "../exit.ts";
import { getopt } from "../getopt.ts";
import { systemReason } from "../system-reason.ts";
import { endpoints } from "./endpoints.ts";
import { connectionEnvironment } from "./environment.ts";
import { hostName, remoteInfo } from "./lookups.ts";

const USAGE = "usage: tcp-env [ -rR ] [ -t timeout ] program [ arg ... ]";
const INFO_SECONDS = 30;

/** Text for a person; the program leaves with 111. */
class FatalError extends Error {}

interface Order {
  /** Seconds to wait for what IDENT says of the client; null: it is not asked. */
  readonly infoSeconds: number | null;
  readonly program: readonly string[];
}

function orderOf(args: readonly string[]): Order {
  const parsed = getopt(args, "rRt:");
  if (typeof parsed === "string" || parsed.rest.length === 0) throw new FatalError(USAGE);
  let [asked, seconds] = [true, INFO_SECONDS];
  for (const [letter, value] of parsed.options) {
    if (letter === "t") seconds = Number.parseInt(value, 10) || 0;
    else asked = letter === "r";
  }
  return { infoSeconds: asked ? seconds : null, program: parsed.rest };
}

/** `env` with what there is to know about the connection; as it is where somebody has seen to that. */
async function environment(
  env: NodeJS.ProcessEnv,
  infoSeconds: number | null,
): Promise<NodeJS.ProcessEnv> {
  if (env.PROTO === "TCP" || env.PROTO === "TCP6") return env;
  const points = connection();
  const { localIp, remoteIp } = points;
  const [localHost, remoteHost, info] = await Promise.all([
    hostName(localIp),
    hostName(remoteIp),
    infoSeconds === null ? null : remoteInfo(points, infoSeconds),
  ]);
  const ends = { ...points, localHost, remoteHost, remoteInfo: info };
  return connectionEnvironment(env, ends, { env: [], mapped: false });
}

function connection() {
  try {
    // It is opened to be asked, never to be read.
    const options = { fd: 0, readable: true, writable: true, manualStart: true };
    const socket = new Socket(options);
    const points = endpoints(socket, false);
    socket.unref();
    if (points) return points;
  } catch {
    // No socket.
  }
  throw new FatalError("descriptor 0 is no TCP connection");
}

function run([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit", env });
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const) {
      process.on(signal, () => child.kill(signal));
    }
    child.on("error", (error) =>
      reject(new FatalError(`unable to run ${program}: ${systemReason(error)}`)),
    );
    child.on("exit", (code, signal) =>
      resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]),
    );
  });
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const { infoSeconds, program } = orderOf(args);
    return await run(program, await environment(process.env, infoSeconds));
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    process.stderr.write(`tcp-env: fatal: ${error.message}\n`);
    return EXIT.soft;
  }
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
