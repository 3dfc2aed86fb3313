/**
 * The one part of the POP3 service that keeps root: it checks logins and starts qmail-pop3d as the
 * mailbox's user, for the process that talks to the network and has given root up. No byte of a client reaches it but the
 * words of a login.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { basename } from "node:path";
import type { Readable, Writable } from "node:stream";
import { Logins } from "../checkpassword/logins.ts";
import { closeRelays, openRelay, RELAY_CONTROL, RELAY_DIRECTORY } from "../checkpassword/relay.ts";
import type { Account } from "../checkpassword/userfile.ts";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { Hearsay } from "../hearsay.ts";
import { readIds } from "../ids.ts";
import { nodeArguments, programPath } from "../programs.ts";
import * as log from "./log.ts";
import {
  formatRefusal,
  type LoginRequest,
  parseRequest,
  REQUEST_MAX,
  type Refusal,
} from "./login-request.ts";

/** Where it listens, below the qmail home; in a directory of root's, who gives the socket away by its name. */
export const LOGIN_SOCKET = "run/pop3-login";
/** The line to the service; when it is closed, that has gone. */
const SERVICE_FD = 3;
/** A service that has connected and says nothing is broken. */
const REQUEST_MS = 10_000;
/** So many logins at once, and sessions that came of a program: more than the service ever has. */
const SESSIONS_MAX = 2000;
const RELAY_LOOK_MS = 600_000;

export interface HelperOptions {
  /** The Maildir in each user's home. */
  readonly maildir: string;
  /** A checkpassword program with its arguments; none: the logins of this installation. */
  readonly command: readonly string[];
}

export class LoginHelper {
  readonly #options: HelperOptions;
  readonly #logins = new Logins(".");
  /** What the sessions say: they are their users'. */
  readonly #hearsay = new Hearsay({ write: say });
  readonly #server: Server;
  /** Logins that are being checked, and sessions of programs that check them. */
  #underWay = 0;

  /** Works in the current directory, which is the qmail home. */
  constructor(options: HelperOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#connected(socket));
  }

  /** Listens, for `owner` alone. */
  async listen(owner: { uid: number; gid: number }): Promise<void> {
    rmSync(LOGIN_SOCKET, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(LOGIN_SOCKET, resolve);
    });
    chmodSync(LOGIN_SOCKET, 0o600);
    if (process.getuid?.() === 0) chownSync(LOGIN_SOCKET, owner.uid, owner.gid);
  }

  #connected(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#underWay >= SESSIONS_MAX) {
      refuse(socket, "temporary");
      return;
    }
    this.#underWay++;
    const over = () => {
      this.#underWay--;
    };
    socket.setTimeout(REQUEST_MS, () => socket.destroy());
    socket.once("close", over);
    let bytes = Buffer.alloc(0);
    const heard = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const request = parseRequest(bytes.subarray(0, REQUEST_MAX));
      if (request) {
        socket.off("data", heard).off("close", over).setTimeout(0);
        void this.#login(socket, request).then(over);
      } else if (bytes.length > REQUEST_MAX) socket.destroy();
    };
    socket.on("data", heard);
  }

  async #login(socket: Socket, request: LoginRequest): Promise<void> {
    let refusal: Refusal | null;
    try {
      refusal =
        this.#options.command.length > 0
          ? await this.#byProgram(socket, request)
          : await this.#byOurselves(socket, request);
    } catch (error) {
      say(log.warning(`cannot check a login: ${(error as Error).message}`));
      refusal = "temporary";
    }
    if (refusal) refuse(socket, refusal);
  }

  /** Resolves when the session is over, or there is none. */
  async #byOurselves(socket: Socket, request: LoginRequest): Promise<Refusal | null> {
    const result = await this.#logins.check(request);
    if (result.status !== "ok") return result.status;
    this.#openRelay(request);
    const { uid } = result.account;
    await this.#left(this.#pop3d(socket, request, result.account), {
      socket,
      who: `qmail-pop3d uid ${uid}`,
    });
    return null;
  }

  #pop3d(socket: Socket, { env }: LoginRequest, account: Account): ChildProcess {
    const { user: USER, home: HOME, shell: SHELL, uid, gid } = account;
    return spawn(
      process.execPath,
      nodeArguments(programPath("pop3d/qmail-pop3d"), [this.#options.maildir]),
      {
        stdio: [socket, socket, "pipe"],
        cwd: HOME,
        env: {
          PATH: process.env.PATH,
          QMAILHOME: process.env.QMAILHOME,
          USER,
          HOME,
          SHELL,
          ...env,
        },
        ...(process.getuid?.() === 0 ? { uid, gid } : {}),
      },
    );
  }

  /** The classic way: the program checks, becomes the user, and runs qmail-pop3d with the connection. */
  async #byProgram(socket: Socket, request: LoginRequest): Promise<Refusal | null> {
    const [program = "", ...args] = this.#options.command;
    const pop3d = nodeArguments(programPath("pop3d/qmail-pop3d"), [this.#options.maildir]);
    const child = spawn(program, [...args, process.execPath, ...pop3d], {
      stdio: [socket, socket, "pipe", "pipe"],
      env: { ...process.env, ...request.env },
    });
    const { login, password, timestamp } = request;
    const pipe = child.stdio[3] as Writable;
    // A program that leaves without reading says enough by its exit code.
    pipe.on("error", () => {});
    pipe.end(Buffer.from([login, password, timestamp, ""].join("\0"), "latin1"));
    const code = await this.#left(child, { socket, who: basename(program) });
    if (code === EXIT.ok) this.#openRelay(request);
    else if (code === null || code === EXIT.soft)
      say(log.warning(`${program} has left with ${code}`));
    return null;
  }

  /**
   * Gives the connection away to `child`, and resolves with its exit code; null when it was a signal. Rejects
   * when it could not be started. Ours is closed at once: paused only, Node might still read what is the child's.
   */
  #left(
    child: ChildProcess,
    { socket, who }: { readonly socket: Socket; readonly who: string },
  ): Promise<number | null> {
    if (child.pid !== undefined) socket.destroy();
    const gone = this.#hearsay.listen(child.stdio[2] as Readable, who);
    return new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", resolve);
    }).finally(() => void gone());
  }

  #openRelay({ env }: LoginRequest): void {
    if (relaySeconds() === 0) return;
    try {
      openRelay(RELAY_DIRECTORY, env.TCPREMOTEIP);
    } catch (error) {
      say(log.warning(`cannot open relaying: ${(error as Error).message}`));
    }
  }
}

/** Answers and hangs up, whether or not the other side does. */
function refuse(socket: Socket, refusal: Refusal): void {
  socket.end(formatRefusal(refusal), () => socket.destroy());
}

function relaySeconds(): number {
  return new Control(".").int(RELAY_CONTROL, 0);
}

function say(line: string): void {
  process.stdout.write(line, "latin1");
}

async function main([maildir = "Maildir", ...command]: readonly string[]): Promise<void> {
  const ids = readIds(".");
  const helper = new LoginHelper({ maildir, command });
  await helper.listen({ uid: ids.uid.qmaild, gid: ids.gid.nofiles });
  setInterval(() => {
    try {
      closeRelays(RELAY_DIRECTORY, { seconds: relaySeconds() });
    } catch (error) {
      say(log.warning(`cannot close relaying: ${(error as Error).message}`));
    }
  }, RELAY_LOOK_MS).unref();
  const service = new Socket({ fd: SERVICE_FD });
  service.on("error", () => {});
  service.on("close", () => process.exit(EXIT.ok));
  service.resume();
  service.write("ready\n");
}

if (import.meta.main) {
  process.title = "qmail-popup-login";
  process.umask(0o077);
  await main(process.argv.slice(2));
}
