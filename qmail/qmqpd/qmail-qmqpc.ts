/**
 * qmail-qmqpc: qmail-queue's interface to a machine without a queue (qmail-qmqpc(8)). The message goes
 * to one of the servers in control/qmqpservers.
 */

import { readSync } from "node:fs";
import { Control } from "../control/control.ts";
import { QQ } from "../exit.ts";
import { refuseClosed } from "../files/closed.ts";
import { qmailHome } from "../home.ts";
import { EnvelopeError, parseEnvelope } from "../queue/envelope.ts";
import { type HubServer, type Offer, offer, parseServer } from "./qmqp-client.ts";

const CHUNK = 64 * 1024;
/** As in C qmail. */
const TIMEOUTS = { connectMs: 10_000, talkMs: 60_000 };

/** The bytes of descriptor `fd`: the length of the whole comes before it, so it is held until it is sent. */
function readAll(fd: number): Buffer[] {
  refuseClosed(fd);
  const pieces: Buffer[] = [];
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const count = readSync(fd, buffer);
    if (count === 0) return pieces;
    pieces.push(buffer.subarray(0, count));
  }
}

/** Null when there is no list, or something in it that is no server. */
function readServers(home: string): readonly HubServer[] | null {
  try {
    const servers = (new Control(home).lines("qmqpservers") ?? []).map(parseServer);
    return servers.length === 0 || servers.includes(null) ? null : (servers as HubServer[]);
  } catch {
    return null;
  }
}

/** As an exit code: what is wrong with the input. */
function readOffer(): Offer | number {
  try {
    const pieces = readAll(0);
    return { pieces, ...parseEnvelope(Buffer.concat(readAll(1))) };
  } catch (error) {
    if (!(error instanceof EnvelopeError)) return QQ.readError;
    if (error.reason === "control") return QQ.rejected;
    return error.reason === "address" ? QQ.addressTooLong : QQ.badEnvelope;
  }
}

async function main(): Promise<number> {
  const servers = readServers(qmailHome());
  if (servers === null) return QQ.noConfig;
  const message = readOffer();
  return typeof message === "number" ? message : await offer(servers, message, TIMEOUTS);
}

if (import.meta.main) {
  process.title = "qmail-qmqpc";
  process.exitCode = await main();
}
