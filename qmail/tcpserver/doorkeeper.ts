/** tcpserver's work with each client: let it wait, look at it, deny it, or run the program for it. */

import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { EXIT } from "../exit.ts";
import { systemReason } from "../system-reason.ts";
import { endpoints, plain, unmapped } from "./endpoints.ts";
import { connectionEnvironment } from "./environment.ts";
import { type Endpoints, hasAddress, hostName, remoteInfo } from "./lookups.ts";
import type { ServerOptions } from "./options.ts";
import { ALLOWED, Rules, type Verdict } from "./rules.ts";
import * as words from "./words.ts";

/** Variables of a rule that limit how many clients of one address there are at once, and what those are told. */
const LIMIT_VARIABLE = "MAXCONNIP";
const FAREWELL_VARIABLE = "DIEMSG";

export interface Surroundings {
  /** What programs get besides the variables of their connection. */
  readonly env: NodeJS.ProcessEnv;
  say(line: string): void;
}

/** Thrown when a client cannot be looked at or served; the text says why. */
class DroppedError extends Error {}

export class Doorkeeper {
  readonly #options: ServerOptions;
  readonly #around: Surroundings;
  readonly #rules: Rules | null;
  /** Clients that wait until another's program has ended, as they would in the kernel. */
  readonly #waiting: Socket[] = [];
  readonly #byAddress = new Map<string, number>();
  #running = 0;
  #open = false;

  constructor(options: ServerOptions, around: Surroundings) {
    this.#options = options;
    this.#around = around;
    this.#rules = options.rules === null ? null : new Rules(options.rules);
  }

  /** Begins to look at clients. */
  open(): void {
    this.#open = true;
    this.#sayStatus();
    this.#next();
  }

  /** A client has come; its socket has not been read. */
  came(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#waiting.length > this.#options.backlog) socket.destroy();
    else this.#waiting.push(socket);
    this.#next();
  }

  #next(): void {
    while (this.#open && this.#running < this.#options.limit) {
      const socket = this.#waiting.shift();
      if (!socket) return;
      this.#running++;
      this.#sayStatus();
      void this.#serve(socket);
    }
  }

  async #serve(socket: Socket): Promise<void> {
    const ip = plain(socket.remoteAddress ?? "");
    this.#count(ip, 1);
    const end = await this.#look(socket).catch((error: unknown) => {
      if (!(error instanceof DroppedError)) throw error;
      this.#around.say(words.dropped(error.message));
      return { pid: process.pid, wstat: EXIT.soft << 8 };
    });
    this.#count(ip, -1);
    socket.destroy();
    if (end) this.#verbose(words.end(end.pid, end.wstat));
    this.#running--;
    this.#sayStatus();
    this.#next();
  }

  /** From the first look to the end of the program; null when the client has gone before anything. */
  async #look(socket: Socket): Promise<{ pid: number; wstat: number } | null> {
    const points = endpoints(socket, this.#options.family === 6);
    if (!points) return null;
    if (this.#options.noDelay) socket.setNoDelay(true);
    const { banner } = this.#options;
    if (banner !== "") await written(socket, banner);
    const ends = await this.#lookUp(points);
    const verdict = this.#verdict(ends);
    const farewell = this.#crowded(points.remoteIp, verdict);
    if (verdict.deny || farewell !== null) {
      if (farewell) await written(socket, farewell);
      this.#verbose(words.from(process.pid, ends.remoteIp));
      this.#verbose(words.verdict(true, process.pid, ends));
      return { pid: process.pid, wstat: EXIT.hard << 8 };
    }
    const mapped = this.#options.family === 6;
    const env = connectionEnvironment(this.#around.env, ends, { env: verdict.env, mapped });
    return await this.#run(socket, { ends, env });
  }

  async #lookUp(points: Endpoints): Promise<words.Ends> {
    const { localHost, lookUpHost, askInfo, infoTimeout } = this.#options;
    return {
      ...points,
      localHost: localHost ?? (await hostName(unmapped(points.localIp))),
      remoteHost: lookUpHost ? await this.#remoteHost(unmapped(points.remoteIp)) : null,
      remoteInfo: askInfo ? await remoteInfo(points, infoTimeout) : null,
    };
  }

  async #remoteHost(ip: string): Promise<string | null> {
    const host = await hostName(ip);
    if (host === null || !this.#options.paranoid) return host;
    return (await hasAddress(host, ip)) ? host : null;
  }

  #verdict({ remoteIp, remoteHost, remoteInfo: info }: words.Ends): Verdict {
    const { rules: path, allowNoRules } = this.#options;
    if (!this.#rules) return ALLOWED;
    const missing = Object.assign(new Error(), { code: "ENOENT" });
    try {
      const verdict = this.#rules.verdict({ ip: unmapped(remoteIp), host: remoteHost, info });
      if (verdict) return verdict;
      if (allowNoRules) return ALLOWED;
      throw missing;
    } catch (error) {
      throw new DroppedError(`unable to read ${path}: ${systemReason(error)}`);
    }
  }

  /** What a client is told of whose address there are too many; null: there are not. */
  #crowded(ip: string, { env }: Verdict): string | null {
    const variables = new Map(env);
    const most = variables.get(LIMIT_VARIABLE) ?? this.#around.env[LIMIT_VARIABLE];
    if (!most || !/^\d+$/.test(most)) return null;
    if ((this.#byAddress.get(plain(ip)) ?? 0) <= Number(most)) return null;
    const farewell = variables.get(FAREWELL_VARIABLE) ?? this.#around.env[FAREWELL_VARIABLE];
    return farewell ? `${farewell}\r\n` : "";
  }

  #run(
    socket: Socket,
    { ends, env }: { ends: words.Ends; env: NodeJS.ProcessEnv },
  ): Promise<{ pid: number; wstat: number }> {
    const [program, ...args] = this.#options.program;
    return new Promise((resolve) => {
      const child = spawn(program, args, { stdio: [socket, socket, "inherit"], env });
      const pid = child.pid ?? process.pid;
      this.#verbose(words.from(pid, ends.remoteIp));
      this.#verbose(words.verdict(false, pid, ends));
      child.on("exit", (code, signal) => {
        resolve({ pid, wstat: signal ? constants.signals[signal] : (code ?? 0) << 8 });
      });
      child.on("error", (error) => {
        this.#around.say(words.fatal(`unable to run ${program}: ${systemReason(error)}`));
        resolve({ pid, wstat: EXIT.soft << 8 });
      });
      // Ours would keep the connection open after the program's end.
      socket.destroy();
    });
  }

  #count(ip: string, change: 1 | -1): void {
    const count = (this.#byAddress.get(ip) ?? 0) + change;
    if (count > 0) this.#byAddress.set(ip, count);
    else this.#byAddress.delete(ip);
  }

  #sayStatus(): void {
    this.#verbose(words.status(this.#running, this.#options.limit));
  }

  #verbose(line: string): void {
    if (this.#options.verbosity === 2) this.#around.say(line);
  }
}

/** Resolves when the kernel has `text`, or the connection is gone. */
function written(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.write(text, "latin1", () => resolve());
  });
}
