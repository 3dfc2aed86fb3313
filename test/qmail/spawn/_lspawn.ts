/** A real qmail-lspawn with a queue of one message, spoken to as qmail-send does. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatUint32, heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import { programPath } from "../../../qmail/programs.ts";
import { fmtqfn } from "../../../qmail/queue/fmtqfn.ts";
import { madeOf } from "../../../qmail/queue/made.ts";
import { FROM_SPAWNER, formatDelivery, SPAWN } from "../../../qmail/spawn/protocol.ts";

const MESSID = "4711";

/** A home with nothing in it but what deliveries need; a sandbox unless told otherwise. */
export class QmailHome implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-lspawn-"));

  constructor({ sandbox = true } = {}) {
    for (const name of ["control", "users", "alias", "drop", "queue", "queue/lock", "run/local"]) {
      mkdirSync(join(this.path, name), { recursive: true });
    }
    if (sandbox) this.write(".sandbox", "");
    this.message("Subject: x\n\nbody\n");
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  /** The message that is delivered. */
  message(text: string, owner?: number): void {
    const path = `queue/${fmtqfn("mess", MESSID)}`;
    mkdirSync(join(this.path, path, ".."), { recursive: true });
    this.write(path, text);
    if (owner !== undefined) chownSync(join(this.path, path), owner, -1);
  }

  /** What qmail-send says of it. */
  delivery(recipient: string, sender = "sender@example.com") {
    const mess = statSync(join(this.path, "queue", fmtqfn("mess", MESSID)));
    return { messid: MESSID, made: madeOf(mess), sender, recipient };
  }

  /** What was left for the queue with `text` at its beginning, each as bytes; taken away. */
  queued(text: string): string[] {
    const drop = join(this.path, "drop");
    return readdirSync(drop).flatMap((name) => {
      const bytes = name.endsWith(".msg") ? readFileSync(join(drop, name), "latin1") : "";
      if (!bytes.startsWith(text)) return [];
      rmSync(join(drop, name));
      return bytes;
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class LspawnProcess implements AsyncDisposable {
  readonly #home: string;
  readonly #child: ChildProcess;
  readonly #link: Link;
  readonly #waiting = new Map<number, (report: string) => void>();
  readonly #said = new Set<() => void>();
  #delnum = 0;
  /** Deliveries that wait for something of their own user's, as was said last. */
  readonly waits = new Set<number>();

  /**
   * Serves the installation in `home` with the default delivery `aliasempty`; `env` is what rc sets, and `log` its standard
   * output and error.
   */
  constructor(
    home: string,
    aliasempty: string,
    env: NodeJS.ProcessEnv = {},
    {
      program = "spawn/qmail-lspawn",
      log = "inherit",
    }: { program?: string; log?: number | "inherit" } = {},
  ) {
    this.#home = home;
    this.#child = spawn(process.execPath, [programPath(program), aliasempty], {
      stdio: ["ignore", log, log, "pipe"],
      env: { PATH: process.env.PATH, QMAILHOME: home, ...env },
    });
    this.#link = new Link(this.#child.stdio[3] as Socket, {
      hears: heard(FROM_SPAWNER, {
        hello() {},
        hold() {},
        free() {},
        waits: ({ yes }, delnum) => this.#waits(delnum, yes),
        report: (report, delnum) => {
          this.waits.delete(delnum);
          this.#waiting.get(delnum)?.(report);
          this.#waiting.delete(delnum);
        },
      }),
      close: () => {
        for (const done of this.#waiting.values()) done("lost");
      },
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Resolves with the report: K, Z or D and the text. `later`: the number is another message's meanwhile. */
  deliver(
    recipient: string,
    { sender = "sender@example.com", later = 0 }: { sender?: string; later?: number } = {},
  ): Promise<string> {
    const delnum = ++this.#delnum;
    const path = join(this.#home, "queue", fmtqfn("mess", MESSID));
    const mess = statSync(path, { throwIfNoEntry: false });
    // That many microseconds before the one that has the number now there was another.
    const made = (mess ? madeOf(mess) : 1) - later;
    const delivery = { messid: MESSID, made, sender, recipient };
    this.#link.send(SPAWN.deliver, delnum, formatDelivery(delivery));
    return new Promise((resolve) => this.#waiting.set(delnum, resolve));
  }

  /** Resolves when so many deliveries wait. */
  async waiting(number: number): Promise<void> {
    while (this.waits.size !== number) {
      await new Promise<void>((resolve) => this.#said.add(resolve));
    }
  }

  /** Nothing more will come; what can be put off is to be put off. */
  leave(): void {
    this.#link.send(SPAWN.leave, 0);
  }

  /** So many deliveries take slots at once. */
  limit(most: number): void {
    this.#link.send(SPAWN.limit, 0, formatUint32(most));
  }

  #waits(delnum: number, waits: boolean): void {
    if (waits) this.waits.add(delnum);
    else this.waits.delete(delnum);
    for (const resolve of this.#said) resolve();
    this.#said.clear();
  }

  /** Says bytes that need not be a frame. */
  say(bytes: Buffer): void {
    (this.#child.stdio[3] as Socket).write(bytes);
  }

  /** The exit code, when it has left. */
  async exit(): Promise<number | null> {
    if (this.#child.exitCode === null && !this.#child.signalCode) await once(this.#child, "exit");
    return this.#child.exitCode;
  }

  /** The most memory it has ever had, in bytes. */
  memory(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) * 1024;
  }

  /** pids of the workers there are now. */
  workers(): number[] {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && parentOf(pid) === this.pid);
  }

  /** Descriptors that qmail-lspawn has open. */
  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#link.end();
    await exit;
  }
}

function parentOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    // A process that has ended and is not yet waited for counts no more.
    if (/^State:\s+Z/m.test(status)) return 0;
    return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
