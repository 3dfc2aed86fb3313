/** One question to one name server: by datagram, and by TCP when the answer does not fit (RFC 1035 section 4.2, RFC 7766). */

import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { type Answer, formatQuestion, parseAnswer, type RecordType } from "./message.ts";
import type { NameServer } from "./resolv-conf.ts";

export interface Question<T extends RecordType> {
  readonly name: string;
  readonly type: T;
  /** False for a server that does not know EDNS. */
  readonly edns?: boolean;
}

/** Asks `server`. Rejects with an Error when it does not answer within `timeout` milliseconds, or not in full. */
export async function exchange<T extends RecordType>(
  server: NameServer,
  question: Question<T>,
  timeout: number,
): Promise<Answer<T>> {
  const answer = await byDatagram(server, question, timeout);
  if (!answer.truncated) return answer;
  const whole = await byTcp(server, question, timeout);
  // What is cut off here too may be what was asked for: nobody knows.
  if (whole.truncated) throw new Error(`a part of an answer from the name server ${server.ip}`);
  return whole;
}

/** A socket for each question: its port, chosen by the system, is as hard to guess as the id. */
function byDatagram<T extends RecordType>(
  server: NameServer,
  question: Question<T>,
  timeout: number,
): Promise<Answer<T>> {
  const id = randomInt(0x10000);
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server.ip) ? "udp6" : "udp4");
    const timer = setTimeout(() => end(() => reject(noAnswer(server))), timeout);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      socket.close();
      settle();
    };
    socket.on("error", (error) => end(() => reject(error)));
    // What is no answer to our question is no answer: the true one may still come.
    socket.on("message", (bytes) => {
      const answer = parseAnswer(bytes, { id, ...question });
      if (answer) end(() => resolve(answer));
    });
    // Connected, so that only this server is heard, and a closed port is told at once.
    // Without a callback: that one would get the error of a server that there is no way to.
    socket.on("connect", () => socket.send(format(id, question)));
    socket.connect(server.port, server.ip);
  });
}

function byTcp<T extends RecordType>(
  server: NameServer,
  question: Question<T>,
  timeout: number,
): Promise<Answer<T>> {
  const id = randomInt(0x10000);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.ip, port: server.port });
    const timer = setTimeout(() => socket.destroy(noAnswer(server)), timeout);
    let input: Buffer = Buffer.alloc(0);
    socket.on("connect", () => {
      const bytes = format(id, question);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      socket.write(Buffer.concat([length, bytes]));
    });
    socket.on("data", (chunk) => {
      // A length of two bytes bounds what is kept.
      input = Buffer.concat([input, chunk]);
      if (input.length < 2 || input.length < 2 + input.readUInt16BE()) return;
      const answer = parseAnswer(input.subarray(2, 2 + input.readUInt16BE()), { id, ...question });
      if (answer) resolve(answer);
      socket.destroy(answer ? undefined : noAnswer(server));
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      reject(noAnswer(server));
    });
  });
}

function format(id: number, { name, type, edns }: Question<RecordType>): Buffer {
  return formatQuestion(id, name, type, edns);
}

function noAnswer({ ip, port }: NameServer): Error {
  return new Error(`no answer from the name server ${ip} port ${port}`);
}
