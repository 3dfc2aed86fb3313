/**
 * The logs of all services in one process: `service-logs NAME ...` reads the FIFOs run/log.NAME and
 * writes log/NAME with TAI64N stamps. Started by the supervisor, which asks by a line to standard input whether
 * it still works, and hears on standard output what is wrong, an empty line for nothing. Ends when its standard
 * input has ended and the FIFOs are empty. The working directory is the qmail home.
 */

import { constants, openSync, readSync } from "node:fs";
import { Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { LogDirectory } from "./log-directory.ts";
import { Stamper } from "./stamper.ts";
import { formatTai64n } from "./tai64n.ts";

/** After trouble with the disk; what the services say waits in the FIFO, and then they wait. */
const TROUBLE_MS = 1000;

class ServiceLog {
  readonly #name: string;
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #stamper = new Stamper();
  #directory: LogDirectory | null = null;
  /** Why the last lines could not be written; "" when they could. */
  trouble = "";
  #lost = 0;
  #again: NodeJS.Timeout | null = null;

  constructor(name: string) {
    this.#name = name;
    this.#fd = openSync(`run/log.${name}`, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk.toString("latin1")));
    this.#socket.on("error", () => {});
  }

  /** Takes what is still in the FIFO. */
  end(): void {
    this.#socket.pause();
    const chunk = Buffer.allocUnsafe(64 * 1024);
    try {
      for (let count = readSync(this.#fd, chunk); count > 0; count = readSync(this.#fd, chunk)) {
        this.#take(chunk.toString("latin1", 0, count));
      }
    } catch {
      // Empty (EAGAIN), with a writer still there.
    }
    const last = this.#stamper.end(prefix());
    if (last) this.#write(last);
    this.#directory?.close();
  }

  #take(text: string): void {
    const lines = this.#stamper.push(text, prefix());
    if (lines) this.#write(lines);
  }

  /** With "", only what is to be said of lines that were lost. */
  #write(lines: string): void {
    const { trouble } = this;
    const lost = `multilog: warning: ${this.#lost} lines were lost: ${trouble}\n`;
    const text = this.#lost > 0 ? `${prefix()}${lost}${lines}` : lines;
    try {
      this.#directory ??= new LogDirectory(`log/${this.#name}`);
      this.#directory.write(Buffer.from(text, "latin1"), Date.now());
      this.trouble = "";
      this.#lost = 0;
    } catch (error) {
      // Full disk or the like. The lines are lost, those to come wait: a log must not stop the mail.
      this.#directory?.abandon();
      this.#directory = null;
      this.#lost += lines.split("\n").length - 1;
      this.trouble = (error as Error).message;
      this.#socket.pause();
      this.#again ??= setTimeout(() => this.#try(), TROUBLE_MS);
    }
  }

  #try(): void {
    this.#again = null;
    if (this.#lost > 0) this.#write("");
    this.#socket.resume();
  }
}

function prefix(): string {
  return `${formatTai64n(Date.now())} `;
}

if (import.meta.main) {
  process.title = "multilog";
  process.umask(0o022);
  const logs = process.argv.slice(2).map((name) => new ServiceLog(name));
  process.stdin.on("data", () => {
    process.stdout.write(`${logs.find(({ trouble }) => trouble)?.trouble ?? ""}\n`);
  });
  process.stdout.on("error", () => {});
  process.stdin.on("end", () => {
    for (const log of logs) log.end();
    process.exit(EXIT.ok);
  });
  process.on("SIGTERM", () => {});
}
