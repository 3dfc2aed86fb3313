/** A private Haraka in a directory of its own that receives and does nothing else: one process, its default settings. */

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf } from "./_processes.ts";

export interface HarakaOptions {
  /** Directory with node_modules/Haraka in it. */
  readonly installed: string;
  readonly port: number;
  readonly certificate: string;
  readonly key: string;
}

export interface HarakaSmtpd {
  readonly port: number;
  readonly version: string;
  processes(): number[];
  start(): void;
  stop(): void;
}

/** Sets up an instance below `directory`. */
export function makeHarakaSmtpd(directory: string, options: HarakaOptions): HarakaSmtpd {
  const { installed, port, certificate, key } = options;
  const haraka = join(installed, "node_modules/Haraka");
  mkdirSync(join(directory, "queue"), { recursive: true });
  cpSync(join(haraka, "config"), join(directory, "config"), { recursive: true });
  const config = (name: string, text: string) =>
    writeFileSync(join(directory, "config", name), text);
  config("smtp.ini", `listen=127.0.0.1:${port}\n`);
  config("me", "bench.test\n");
  config("plugins", "tls\nrcpt_to.in_host_list\n");
  config("host_list", "bench.test\n");
  config("tls.ini", `key=${key}\ncert=${certificate}\n`);
  let child: ChildProcess | null = null;
  return {
    port,
    version: JSON.parse(readFileSync(join(haraka, "package.json"), "utf8")).version,
    processes: () => (child?.pid ? [child.pid, ...childrenOf(child.pid)] : []),
    start() {
      const log = openSync(join(directory, "log"), "w");
      child = spawn(process.execPath, [join(haraka, "bin/haraka"), "-c", directory], {
        stdio: ["ignore", log, log],
      });
    },
    stop: () => void child?.kill("SIGKILL"),
  };
}
