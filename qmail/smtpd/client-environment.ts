/** What programs that stand for the queue learn of a client, in the environment (tcp-environ(5)). */

import type { Socket } from "node:net";
import { plainAddress } from "../net/address.ts";
import type { Credentials } from "./session-context.ts";

export interface ClientFacts extends Credentials {
  readonly local: string;
  readonly relayclient: string | null;
}

/** As a tcpserver would set it for this connection, with what the client has proved since. */
export function clientEnvironment(
  socket: Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "localPort">,
  { local, relayclient, user, tls }: ClientFacts,
): NodeJS.ProcessEnv {
  return {
    PROTO: "TCP",
    TCPREMOTEIP: plainAddress(socket.remoteAddress ?? ""),
    TCPREMOTEPORT: String(socket.remotePort ?? ""),
    TCPLOCALIP: plainAddress(socket.localAddress ?? ""),
    TCPLOCALPORT: String(socket.localPort ?? ""),
    TCPLOCALHOST: local,
    ...(relayclient === null ? {} : { RELAYCLIENT: relayclient }),
    ...provedEnvironment({ user, tls }),
  };
}

/** Who has logged in, in the names of qmail's AUTH patches and of mod_ssl's. */
export function provedEnvironment({ user, tls }: Credentials): NodeJS.ProcessEnv {
  return {
    ...(user === null ? {} : { TCPREMOTEINFO: user, SMTPAUTHUSER: user, RELAYCLIENT: "" }),
    ...(tls === null ? {} : { SSL_PROTOCOL: tls.protocol, SSL_CIPHER: tls.cipher }),
  };
}
