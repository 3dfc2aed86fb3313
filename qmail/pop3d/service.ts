/** The POP3 service: all connections in one process, as qmaild, until they have logged in. */

import { spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { become } from "../files/become.ts";
import { closeInherited } from "../files/inherited.ts";
import { readIds } from "../ids.ts";
import { Connection, socketEnds } from "../net/connection.ts";
import { HURRY_MS } from "../net/deadline.ts";
import { Listener } from "../net/listener.ts";
import { siteBrakes } from "../net/login-brakes.ts";
import { serviceCertificates } from "../net/service-certificates.ts";
import type { Certificates } from "../net/tls.ts";
import { nodeArguments, programPath } from "../programs.ts";
import { sayReady } from "../supervise/ready.ts";
import { hurriedPop3, readPop3Limits } from "./limits.ts";
import * as log from "./log.ts";
import { LOGIN_SOCKET } from "./login-helper.ts";
import { type Pop3Address, type Pop3Options, parseOptions } from "./options.ts";
import * as replies from "./replies.ts";
import { Visitor } from "./visitor.ts";

const HELPER_FD = 3;

class Pop3Server {
  readonly #options: Pop3Options;
  readonly #certificates: Certificates | null;
  readonly #host: string;
  /** True while places are short. */
  readonly #short: () => boolean;
  #limits = readPop3Limits(new Control("."));
  readonly #brakes = siteBrakes(".", (text) => write(log.warning(text)));
  #sessions = 0;

  constructor(
    options: Pop3Options,
    certificates: Certificates | null,
    { host, short }: { host: string; short: () => boolean },
  ) {
    this.#options = options;
    this.#short = short;
    this.#certificates = certificates;
    this.#host = host;
  }

  connected(socket: Socket, { ip, address }: { ip: string; address: Pop3Address }): Connection {
    const certificates = this.#certificates;
    const session = ++this.#sessions;
    const options = {
      ends: socketEnds(socket),
      ...(certificates ? { secure: certificates.secure.bind(certificates) } : {}),
      tlsFirst: address.tls,
      short: this.#short,
    };
    return new Connection(options, (wire) => {
      const context = {
        session,
        ip,
        env: environment(socket, ip),
        timestamp: this.#options.apop ? this.#timestamp(session) : "",
        canTls: certificates !== null && !address.tls,
        withoutTls: this.#options.withoutTls,
        limits: () => (this.#short() ? hurriedPop3(this.#limits, HURRY_MS) : this.#limits),
        guard: this.#brakes.for(ip),
        connect: () => connect(LOGIN_SOCKET),
        log: write,
      };
      return new Visitor(context, wire);
    });
  }

  /** Reads the controls again, for sessions that begin from now on. */
  reread(): void {
    try {
      this.#limits = readPop3Limits(new Control("."));
    } catch (error) {
      write(log.warning(`${(error as Error).message}, the old controls stay`));
    }
  }

  /** Never the same twice (RFC 1939, section 7). */
  #timestamp(session: number): string {
    return `<${process.pid}.${session}.${Date.now()}@${this.#host}>`;
  }
}

function environment(socket: Socket, ip: string) {
  return {
    PROTO: ip.includes(":") ? "TCP6" : "TCP",
    TCPREMOTEIP: ip,
    TCPREMOTEPORT: String(socket.remotePort ?? ""),
    TCPLOCALIP: (socket.localAddress ?? "").replace(/^::ffff:(?=\d+\.)/i, ""),
    TCPLOCALPORT: String(socket.localPort ?? ""),
  };
}

function write(line: string): void {
  process.stdout.write(line, "latin1");
}

/** Serves from the qmail home `home` until SIGTERM. Throws when it cannot begin, with a text for a person. */
export async function runService(home: string, args: string[]): Promise<void> {
  const options = parseOptions(args);
  closeInherited();
  process.chdir(home);
  const ids = readIds(".");
  // Without a reader the log is lost, the mail is not.
  process.stdout.on("error", () => {});
  const warn = (text: string) => write(log.warning(text));
  let server: Pop3Server | null = null;
  const listener = new Listener<Pop3Address>({
    ...options,
    connected: (socket, at) => (server as Pop3Server).connected(socket, at),
    busy: ({ tls }) => (tls ? null : replies.busy()),
    warn,
  });
  await listener.bind();
  const helper = await startHelper(options);
  const root = !ids.sandbox && process.getuid?.() === 0;
  const certificates = serviceCertificates(options.certificates, { root, warn });
  // For good, and before the first byte from the network is read.
  if (root) become({ uid: ids.uid.qmaild, gid: ids.gid.nofiles });
  const host = new Control(".").line("me") ?? "localhost";
  server = new Pop3Server(options, certificates, { host, short: () => listener.short });
  const end = async () => {
    await listener.end();
    process.exit(EXIT.ok);
  };
  process.once("SIGTERM", () => void end());
  process.once("SIGINT", () => void end());
  process.on("SIGHUP", () => {
    server?.reread();
    certificates?.reread();
  });
  // Without it nobody can log in: we leave, and are started again whole.
  helper.on("close", () => process.exit(EXIT.soft));
  listener.serve();
  sayReady();
}

/** Starts the helper with our privileges; resolves with the line to it when it listens. */
function startHelper({ maildir, command }: Pop3Options): Promise<Socket> {
  const child = spawn(
    process.execPath,
    nodeArguments(programPath("pop3d/login-helper"), [maildir, ...command]),
    {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
      env: { PATH: process.env.PATH, QMAILHOME: process.env.QMAILHOME },
    },
  );
  const line = child.stdio[HELPER_FD] as Socket;
  line.on("error", () => {});
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Error("cannot start the part that checks logins"));
    child.once("error", failed);
    line.once("close", failed);
    line.once("data", () => {
      line.off("close", failed);
      resolve(line);
    });
  });
}
