/**
 * qmail-start: turns on mail delivery: `qmail-start [defaultdelivery [logger arg ...]]`
 * (qmail-start(8)).
 *
 * Takes the queue (lock/sendmutex), starts the logger (qmaill), qmail-lspawn (root), qmail-rspawn (qmailr) and
 * qmail-queue, which is qmail-clean too (qmailq), joins their pipes, and becomes qmail-send (qmails). So the process
 * that rc started is qmail-send, and takes its signals.
 */

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT } from "./exit.ts";
import { become } from "./files/become.ts";
import { closeInherited } from "./files/inherited.ts";
import { writeAll } from "./files/write-all.ts";
import { qmailHome } from "./home.ts";
import { type Ids, readIds } from "./ids.ts";
import { nodeArguments, programPath } from "./programs.ts";
import { alert } from "./send/log.ts";
import type { LogSink } from "./send/qmail-send.ts";
import { QueueTakenError, takeQueue } from "./send/queue-lock.ts";

/** While more of the log than this waits for the logger, no work is begun. */
const LOG_MAX = 1 << 20;
/** Lines of so many milliseconds go to the logger together: it is not woken for each. */
const LOG_MS = 20;

/** What we have started leaves when we do; longer than this we do not wait to see it. */
const LEAVE_MS = 2000;

class Starter {
  readonly #ids: Ids;
  readonly #home: string;
  readonly #daemons: Promise<unknown>[] = [];

  constructor(home: string, ids: Ids) {
    this.#home = home;
    this.#ids = ids;
  }

  /**
   * A daemon of ours, which gives up root itself; its descriptor 3 is the link to qmail-send, its 4 the lock of the queue. What it starts itself
   * does not get that: Node opens nothing for its children that they were not given.
   */
  daemon(mutex: number, file: string, ...args: readonly string[]): Socket {
    const child = spawn(process.execPath, nodeArguments(programPath(file), args), {
      stdio: ["ignore", "inherit", "inherit", "pipe", mutex],
      // What rc sets holds for all of them: QMAILQUEUE, or what programs in .qmail files want.
      env: {
        PATH: "/usr/bin:/bin",
        ...environment(),
        QMAILHOME: this.#home,
        UV_THREADPOOL_SIZE: "16",
      },
    });
    // A daemon that could not be started closes its link: qmail-send says so and leaves.
    child.on("error", (error) => process.stderr.write(`alert: cannot start: ${error.message}\n`));
    this.#daemons.push(new Promise((resolve) => child.on("exit", resolve).on("error", resolve)));
    return child.stdio[3] as Socket;
  }

  logger(command: readonly string[]): LogSink {
    const [program, ...args] = command as [string, ...string[]];
    const { sandbox, uid, gid } = this.#ids;
    const child = spawn(program, args, {
      stdio: ["pipe", "inherit", "inherit"],
      ...(sandbox ? {} : { uid: uid.qmaill, gid: gid.nofiles }),
    });
    return new LoggerSink(child);
  }

  /** Resolves when all daemons have gone, so that our own end is the end of the mail system. */
  async left(): Promise<void> {
    await Promise.race([Promise.all(this.#daemons), sleep(LEAVE_MS)]);
  }
}

/** What rc has set for us, without what its shell has: where that was is nobody's business. */
function environment(): NodeJS.ProcessEnv {
  const { PWD, OLDPWD, SHLVL, _, ...env } = process.env;
  return env;
}

/** The log goes to a program. When that dies we must not go on unheard: we leave and are started again. */
class LoggerSink implements LogSink {
  readonly #input: Writable;
  readonly #ended: Promise<void>;
  #leaving = false;
  #text = "";

  constructor(child: ChildProcess) {
    this.#input = child.stdin as Writable;
    this.#input.on("error", () => {});
    this.#ended = new Promise((done) => {
      child.on("error", (error) => {
        process.stderr.write(`alert: cannot start the logger: ${error.message}\n`);
        done();
      });
      child.on("exit", () => done());
    });
    void this.#ended.then(() => {
      if (!this.#leaving) process.kill(process.pid, "SIGTERM");
    });
  }

  get full(): boolean {
    return this.#input.writableLength > LOG_MAX;
  }

  write(text: string): void {
    if (this.#text === "") setTimeout(() => this.#flush(), LOG_MS);
    this.#text += text;
  }

  end(): Promise<void> {
    this.#leaving = true;
    this.#flush();
    this.#input.end();
    return this.#ended;
  }

  #flush(): void {
    if (this.#text !== "") this.#input.write(this.#text, "latin1");
    this.#text = "";
  }
}

/** The log goes to standard output. */
class StdoutSink implements LogSink {
  readonly full = false;
  #text = "";

  write(text: string): void {
    if (this.#text === "") setTimeout(() => this.#flush(), LOG_MS);
    this.#text += text;
  }

  end(): Promise<void> {
    this.#flush();
    return Promise.resolve();
  }

  #flush(): void {
    const text = this.#text;
    this.#text = "";
    writeAll(1, Buffer.from(text, "latin1"));
  }
}

async function main(args: readonly string[]): Promise<number> {
  const home = resolve(qmailHome());
  process.chdir(home);
  const ids = readIds(".");
  if (!ids.sandbox && process.getuid?.() !== 0) {
    process.stderr.write("qmail-start: fatal: must be run as root\n");
    return EXIT.soft;
  }
  const [aliasempty = "./Mailbox", ...logger] = args;
  const starter = new Starter(home, ids);
  const openLog = () => (logger.length > 0 ? starter.logger(logger) : new StdoutSink());
  // Before anything else is there: what is left of an earlier qmail-send must not meet ours.
  let mutex: number;
  try {
    mutex = takeQueue("queue");
  } catch (error) {
    if (!(error instanceof QueueTakenError)) throw error;
    const log = openLog();
    log.write(alert(`cannot start: ${error.message}`));
    await log.end();
    return EXIT.soft;
  }
  const log = openLog();
  const lspawn = starter.daemon(mutex, "spawn/qmail-lspawn", aliasempty);
  const rspawn = starter.daemon(mutex, "spawn/qmail-rspawn");
  const queue = starter.daemon(mutex, "queue/queue-server");
  if (!ids.sandbox) become({ uid: ids.uid.qmails, gid: ids.gid.qmail });
  process.title = "qmail-send";
  // Loaded only now, so that nothing of it runs as root.
  const { qmailSend } = await import("./send/qmail-send.ts");
  const code = await qmailSend({ log, queue, lspawn, rspawn });
  await starter.left();
  return code;
}

if (import.meta.main) {
  // Whatever starts rc.
  closeInherited();
  process.umask(0o077);
  process.exit(await main(process.argv.slice(2)));
}
