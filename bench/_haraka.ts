/** A private Haraka in a directory of its own, as a relay: its outbound queue, its default settings, one process. */

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MailServer } from "./_postfix.ts";

export interface HarakaOptions {
  /** Directory with node_modules/Haraka in it. */
  readonly installed: string;
  /** Messages on their way out at once. */
  readonly concurrency: number;
  /** Host and port for each domain. */
  readonly routes: Readonly<Record<string, string>>;
}

export function harakaVersion(installed: string): string {
  const path = join(installed, "node_modules/Haraka/package.json");
  return JSON.parse(readFileSync(path, "utf8")).version;
}

/** Sets up an instance below `directory`. */
export function makeHaraka(directory: string, port: number, options: HarakaOptions): MailServer {
  const { installed, concurrency, routes } = options;
  for (const name of ["plugins", "queue"]) mkdirSync(join(directory, name), { recursive: true });
  cpSync(join(installed, "node_modules/Haraka/config"), join(directory, "config"), {
    recursive: true,
  });
  const config = (name: string, text: string) =>
    writeFileSync(join(directory, "config", name), text);
  config("smtp.ini", `listen=127.0.0.1:${port}\n`);
  config("me", "bench.test\n");
  config("plugins", "relay\nroutes\n");
  config("relay.ini", "[relay]\nacl=true\n");
  config("relay_acl_allow", "127.0.0.0/8\n");
  config("outbound.ini", `concurrency_max=${concurrency}\nenable_tls=false\nlocal_mx_ok=true\n`);
  // What smtproutes and transport_maps are to the others.
  writeFileSync(
    join(directory, "plugins/routes.js"),
    `const routes = ${JSON.stringify(routes)};\n` +
      "exports.hook_get_mx = (next, _hmail, domain) => {\n" +
      "  const [exchange, port] = routes[domain].split(':');\n" +
      "  next(OK, [{ priority: 0, exchange, port: Number(port) }]);\n};\n",
  );
  let child: ChildProcess | null = null;
  return {
    name: "haraka",
    port,
    recipient: "",
    maildir: "",
    start: () => {
      const log = openSync(join(directory, "log"), "w");
      const program = join(installed, "node_modules/Haraka/bin/haraka");
      child = spawn(process.execPath, [program, "-c", directory], {
        stdio: ["ignore", log, log],
      });
    },
    stop: () => void child?.kill("SIGTERM"),
  };
}
