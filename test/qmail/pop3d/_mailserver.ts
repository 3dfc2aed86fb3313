/** A qmail home with two logins and a mailbox, and the two doors to it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPassword } from "../../../qmail/checkpassword/secrets.ts";
import { changeUserFile } from "../../../qmail/checkpassword/userfile.ts";
import { programPath } from "../../../qmail/programs.ts";

/** qmail-pop3d does not run as root. */
const uid = process.getuid?.() || 65534;
const hash = await hashPassword("pw");

export class MailServer {
  readonly home = mkdtempSync(join(tmpdir(), "qmailctl-pop3d-"));
  readonly maildir = join(this.home, "joe/Maildir");
  readonly #children: ChildProcess[] = [];

  static async create(): Promise<MailServer> {
    const server = new MailServer();
    const { home } = server;
    chmodSync(home, 0o755);
    for (const path of ["users", "control", "run", "run/net", "run/relay", "run/brakes", "joe"])
      mkdirSync(join(home, path));
    server.empty();
    writeFileSync(join(home, ".sandbox"), "");
    writeFileSync(join(home, "control/me"), "mail.test\n");
    const account = { uid, gid: uid, home: join(home, "joe"), shell: "/bin/sh", hash, scram: null };
    await changeUserFile(home, () => [
      { ...account, user: "joe", secret: "pw" },
      { ...account, user: "nosecret", secret: null },
      { ...account, user: "broken", hash: "no hash", secret: null },
    ]);
    return server;
  }

  /** Puts a message into the Maildir, so many seconds after the beginning of time. */
  deliver(path: string, text: string, time: number): void {
    const file = join(this.maildir, path);
    writeFileSync(file, text, "latin1");
    if (process.getuid?.() === 0) chownSync(file, uid, uid);
    utimesSync(file, time, time);
  }

  /** Removes all messages, and mends what was done to the Maildir. */
  empty(): void {
    rmSync(this.maildir, { recursive: true, force: true });
    for (const path of ["", "/new", "/cur", "/tmp"]) {
      mkdirSync(this.maildir + path);
      if (process.getuid?.() === 0) chownSync(this.maildir + path, uid, uid);
    }
  }

  /** Something of the Maildir, or with "." all of it, is not there any more. */
  gone(path: string): void {
    rmSync(join(this.maildir, path), { recursive: true });
  }

  /** A directory stands where a message was. */
  inTheWay(path: string): void {
    this.gone(path);
    mkdirSync(join(this.maildir, path));
  }

  /** Every file in new/ and cur/. */
  left(): string[] {
    return ["cur", "new"]
      .flatMap((sub) => readdirSync(join(this.maildir, sub)).map((name) => `${sub}/${name}`))
      .sort();
  }

  /** What the programs are told. */
  get env(): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, QMAILHOME: this.home };
  }

  /** The service: its port. */
  async service(...args: string[]): Promise<number> {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as { port: number };
    probe.close();
    const listen = args.includes("--listen-tls") ? ["--listen-tls"] : ["--listen"];
    const rest = args.filter((arg) => arg !== "--listen-tls");
    const child = spawn(
      process.execPath,
      [programPath("pop3d/qmail-popup"), ...listen, `127.0.0.1:${port}`, ...rest],
      { env: this.env, stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#children.push(child);
    child.stdout?.on("data", (chunk) => {
      this.log += String(chunk);
    });
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the service left with ${child.exitCode}`);
      const socket = connect(port, "127.0.0.1");
      const [first] = await Promise.race([
        once(socket, "connect").then(() => ["in"]),
        once(socket, "close"),
      ]).catch(() => [false]);
      socket.destroy();
      if (first === "in") return port;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What the service has said. */
  log = "";

  /** Sends a signal to the services. */
  kill(signal: NodeJS.Signals): void {
    for (const child of this.#children) child.kill(signal);
  }

  /** What a tcpserver is told to run. */
  get command(): string[] {
    const run = (name: string) => [process.execPath, programPath(name)];
    return [
      ...run("pop3d/qmail-popup"),
      "mail.test",
      ...run("checkpassword/checkpassword"),
      ...run("pop3d/qmail-pop3d"),
      "Maildir",
    ];
  }

  /** The programs, as a tcpserver would start them for each connection; their port. */
  async programs(): Promise<number> {
    const [program = "", ...args] = this.command;
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket: Socket) => {
      this.#children.push(
        spawn(program, args, { env: this.env, stdio: [socket, socket, "inherit"] }),
      );
      socket.destroy();
    });
    server.listen(0, "127.0.0.1");
    server.unref();
    await once(server, "listening");
    return (server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      await exit;
    }
    rmSync(this.home, { recursive: true, force: true });
  }
}
