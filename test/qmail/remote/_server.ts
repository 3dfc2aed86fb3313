/** A mail server for tests: does what it is told to at each step, and remembers what it was told. */

import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { type RemoteConfig, readRemoteConfig } from "../../../qmail/remote/remote.ts";
import type { World } from "../../../qmail/remote/world.ts";
import type { Issued } from "./_authority.ts";
import { fakeDns, type Zone } from "./_dns.ts";

/** What the server answers at a step: a text, what it does to the socket, or a choice by the line it got. */
export type Step = string | ((socket: Socket, line: string) => unknown);

/** Steps by the verb of the command; `greeting` at first, `end` after the message, `quit` by default 221. */
export type Behaviour = Readonly<Record<string, Step>>;

const GOOD: Behaviour = {
  greeting: "220 far.test ESMTP",
  EHLO: "250 far.test",
  HELO: "250 far.test",
  MAIL: "250 ok",
  RCPT: "250 ok",
  DATA: "354 go",
  end: "250 taken",
  QUIT: "221 bye",
  RSET: "250 ok",
};

export interface FarServer extends AsyncDisposable {
  readonly port: number;
  /** Command lines, in order, of all connections. */
  readonly commands: string[];
  /** Messages as they came, dots doubled. */
  readonly messages: string[];
  connections: number;
}

/** Serves one command after another; answers commands that came together one by one. */
export class Conversation {
  readonly #socket: Socket;
  readonly #behaviour: Behaviour;
  readonly #server: FarServer;
  #input = "";
  #message: string | null = null;

  constructor(socket: Socket, behaviour: Behaviour, server: FarServer) {
    this.#socket = socket;
    this.#behaviour = { ...GOOD, ...behaviour };
    this.#server = server;
    socket.on("error", () => {});
    socket.on("data", this.#take);
  }

  greet(): void {
    this.#do("greeting", "");
  }

  /** Hands the connection over to another behaviour, as after STARTTLS. */
  stop(): void {
    this.#socket.off("data", this.#take);
  }

  readonly #take = (bytes: Buffer): void => {
    this.#input += bytes.toString("latin1");
    for (;;) {
      if (this.#message !== null) {
        const end = `\r\n${this.#input}`.indexOf("\r\n.\r\n");
        if (end < 0) return;
        this.#server.messages.push(this.#input.slice(0, end));
        this.#input = this.#input.slice(end + 3);
        this.#message = null;
        this.#do("end", "");
        continue;
      }
      const end = this.#input.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#input.slice(0, end);
      this.#input = this.#input.slice(end + 2);
      this.#server.commands.push(line);
      this.#do(line.split(" ")[0]?.toUpperCase() ?? "", line);
    }
  };

  #do(step: string, line: string): void {
    const action = this.#behaviour[step] ?? "500 unknown";
    const answer = typeof action === "string" ? action : action(this.#socket, line);
    if (typeof answer !== "string") return;
    if (step === "DATA" && answer.startsWith("354")) this.#message = "";
    this.#socket.write(`${answer}\r\n`, "latin1");
    if (step === "QUIT") this.#socket.end();
  }
}

/** Listens on `port` of `ip`; by default on one that is free. */
export async function farServer(
  behaviour: Behaviour = {},
  port = 0,
  ip = "127.0.0.1",
): Promise<FarServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    far.connections++;
    new Conversation(socket, behaviour, far).greet();
  });
  server.listen(port, ip);
  await once(server, "listening");
  const far: FarServer = {
    port: (server.address() as { port: number }).port,
    commands: [],
    messages: [],
    connections: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return far;
}

/** A server with STARTTLS; `hidden` is what it does behind it. */
export async function secureServer(
  issued: Pick<Issued, "cert" | "key">,
  hidden: Behaviour = {},
): Promise<FarServer> {
  const far: FarServer = await farServer({
    EHLO: "250-far.test\r\n250 STARTTLS",
    STARTTLS: (socket) => {
      socket.removeAllListeners("data");
      socket.write("220 go\r\n");
      const secure = new TLSSocket(socket, { isServer: true, cert: issued.cert, key: issued.key });
      new Conversation(secure, hidden, far);
    },
  });
  return far;
}

export interface Near extends Disposable {
  readonly home: string;
  readonly config: RemoteConfig;
}

/** An installation with these control files, for qmail-remote alone. */
export function near(
  control: Readonly<Record<string, string>>,
  { zone = {}, dns = fakeDns(zone), ...world }: { zone?: Zone } & Partial<World> = {},
): Near {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-remote-"));
  mkdirSync(join(home, "control"));
  mkdirSync(join(home, "queue/lock"), { recursive: true });
  writeFileSync(join(home, "queue/lock/tcpto"), Buffer.alloc(1024));
  const files = { me: "near.test", timeoutremote: "5", timeoutconnect: "5", ...control };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(home, "control", name), `${text}\n`, { mode: 0o600 });
  }
  return {
    home,
    config: readRemoteConfig(home, { dns, ...world }),
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}
