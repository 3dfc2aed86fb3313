/** The doors as they run: the services as processes that listen, the programs on pipes, all with a queue that takes everything. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programPath } from "../../qmail/programs.ts";
import { freePort } from "../site/_site.ts";

/** A qmail home with what all the doors want. */
export class DoorHome implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-doors-"));

  constructor() {
    for (const name of ["control", "run", "run/net"]) mkdirSync(join(this.path, name));
    writeFileSync(join(this.path, ".sandbox"), "");
    for (const name of ["me", "rcpthosts"]) {
      writeFileSync(join(this.path, "control", name), "mail.test\n");
    }
    const script = (name: string, text: string) =>
      writeFileSync(join(this.path, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    script("queue", "cat >/dev/null; cat <&1 >/dev/null");
    script("check", "tr '\\0' '|' <&3 | grep -q '^joe|pw|' && exec \"$@\"; exit 1");
  }

  get env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      QMAILHOME: this.path,
      QMAILQUEUE: join(this.path, "queue"),
      TCPREMOTEIP: "192.0.2.1",
    };
  }

  /** The checkpassword program that knows joe and "pw". */
  get check(): string {
    return join(this.path, "check");
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What a session has come to. */
export interface Outcome {
  readonly said: string;
  /** Of a program. */
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs a program with `input` to its end; one that is not over after `ms` is killed, and its code is null. */
export async function runProgram(
  [file = "", ...args]: readonly string[],
  { input, env, ms }: { input: Buffer; env: NodeJS.ProcessEnv; ms: number },
): Promise<Outcome> {
  const child = spawn(process.execPath, [programPath(file), ...args], { env, timeout: ms });
  const said: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (chunk) => said.push(chunk));
  child.stderr.on("data", (chunk) => errors.push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return {
    code,
    said: Buffer.concat(said).toString("latin1"),
    stderr: Buffer.concat(errors).toString("latin1"),
  };
}

/** With it what is kept ends the process, and what is only not collected yet stays little. */
const SMALL_HEAP = ["--max-old-space-size=64", "--max-semi-space-size=4"];

/** A service in a process of its own. */
export class Service implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  /** What it has said and complained of. */
  output = "";

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        this.output = (this.output + String(chunk)).slice(-100_000);
      });
    }
  }

  /** Starts it on a free port; resolves when it answers. */
  static async start(
    [file = "", ...args]: readonly string[],
    env: NodeJS.ProcessEnv,
  ): Promise<Service> {
    const port = await freePort();
    const listen = ["--listen", `127.0.0.1:${port}`];
    const child = spawn(process.execPath, [...SMALL_HEAP, programPath(file), ...listen, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env,
    });
    const service = new Service(child, port);
    while (!(await answers(port))) {
      if (!service.alive) throw new Error(`${file} has left: ${service.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return service;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resident memory in kB. */
  get memory(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "latin1");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.alive) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
