/** A name server for tests: answers on loopback what it is told to. */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import * as packet from "dns-packet";
import type { NameServer } from "../../../qmail/dns/resolv-conf.ts";
import { freePort } from "../../site/_site.ts";

/** What to answer; null: nothing. */
export type Answering = (
  question: packet.Question,
  over: "udp" | "tcp",
  edns: boolean,
) => Partial<packet.Packet> | null;

export interface TestServer extends AsyncDisposable {
  readonly server: NameServer;
  /** The questions that came, as "udp MX example.test". */
  readonly asked: string[];
}

export async function dnsServer(answering: Answering): Promise<TestServer> {
  const asked: string[] = [];
  const reply = (bytes: Buffer, over: "udp" | "tcp"): Buffer | null => {
    const { id, questions = [], additionals = [] } = packet.decode(bytes);
    const [question] = questions as [packet.Question];
    asked.push(`${over} ${question.type} ${question.name}`);
    const edns = additionals.some(({ type }) => type === "OPT");
    const parts = answering(question, over, edns);
    return parts && packet.encode({ id: id as number, type: "response", questions, ...parts });
  };
  const udp = createSocket("udp4", (bytes, from) => {
    const answer = reply(bytes, "udp");
    if (answer) udp.send(answer, from.port, from.address);
  });
  // Free for both: one that is chosen for UDP may be a connection's.
  const port = await freePort();
  udp.bind(port, "127.0.0.1");
  await once(udp, "listening");
  const tcp = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const answer = reply(bytes.subarray(2), "tcp");
      if (!answer) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      // In two pieces, as a network may.
      socket.write(Buffer.concat([length, answer.subarray(0, 3)]));
      setImmediate(() => socket.write(answer.subarray(3)));
    });
  });
  tcp.listen(port, "127.0.0.1");
  await once(tcp, "listening");
  return {
    server: { ip: "127.0.0.1", port },
    asked,
    async [Symbol.asyncDispose]() {
      udp.close();
      tcp.close();
    },
  };
}
