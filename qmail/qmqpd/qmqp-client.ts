/** The client's side of QMQP: hands one message to the first server that can be reached (qmail-qmqpc(8)). */

import { connect, type Socket } from "node:net";
import { EXIT, QQ } from "../exit.ts";
import { ByteReader } from "../net/byte-reader.ts";
import { formatNetstring, readNetstring } from "../net/netstring.ts";
import type { Envelope } from "../queue/envelope.ts";

const QMQP_PORT = 628;
/** Bytes of the longest answer that is read. */
const ANSWER_MAX = 10_000;

export interface HubServer {
  readonly host: string;
  readonly port: number;
}

export interface Offer extends Envelope {
  /** The message. */
  readonly pieces: readonly Buffer[];
}

export interface Timeouts {
  readonly connectMs: number;
  /** For each step after that. */
  readonly talkMs: number;
}

/** `address` or `name`, with `:port` behind it or not, an IPv6 address in brackets; null for what is neither. */
export function parseServer(line: string): HubServer | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+))(?::(\d{1,5}))?$/i.exec(line);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? QMQP_PORT);
  return host === undefined || port < 1 || port > 65535 ? null : { host, port };
}

/**
 * Offers the message to `servers` in turn until one can be reached. Resolves with qmail-queue's exit
 * code: once a server has the message, no other is asked, since that might make two of it.
 */
export async function offer(
  servers: readonly HubServer[],
  message: Offer,
  timeouts: Timeouts,
): Promise<number> {
  let code: number = QQ.noConfig;
  for (const server of servers) {
    const socket = await reach(server, timeouts.connectMs);
    if (typeof socket !== "number") return await hand(socket, message, timeouts.talkMs);
    code = socket;
  }
  return code;
}

/** A connection, or the exit code that says why there is none. */
function reach({ host, port }: HubServer, connectMs: number): Promise<Socket | number> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const fail = (code: number) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on("error", () => {}).destroy();
      resolve(code);
    };
    const timer = setTimeout(() => fail(QQ.hubTimeout), connectMs);
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      fail(code === "ETIMEDOUT" ? QQ.hubTimeout : QQ.hubRefused),
    );
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

async function hand(socket: Socket, message: Offer, talkMs: number): Promise<number> {
  socket.setTimeout(talkMs, () => socket.destroy());
  try {
    for (const piece of request(message)) {
      if (!socket.write(piece)) await drained(socket);
    }
    const answer = await readNetstring(new ByteReader(socket), ANSWER_MAX);
    return ANSWERS[answer.toString("latin1", 0, 1)] ?? QQ.hubLost;
  } catch {
    return QQ.hubLost;
  } finally {
    socket.destroy();
  }
}

const ANSWERS: Readonly<Record<string, number>> = {
  K: EXIT.ok,
  Z: QQ.hubRejected,
  D: QQ.rejected,
};

/** The netstring of netstrings, without making one buffer of it. */
function* request({ pieces, sender, recipients }: Offer): Generator<Buffer> {
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  const before = Buffer.from(`${size}:`);
  const envelope = Buffer.concat([sender, ...recipients].map(formatNetstring));
  const whole = before.length + size + 1 + envelope.length;
  yield Buffer.from(`${whole}:${before}`);
  yield* pieces;
  yield Buffer.concat([Buffer.from(","), envelope, Buffer.from(",")]);
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error("the connection is gone"));
    if (socket.destroyed) gone();
    socket.once("close", gone);
    socket.once("drain", () => {
      socket.off("close", gone);
      resolve();
    });
  });
}
