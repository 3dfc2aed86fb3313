/** This system as a sandbox in a directory of its own, with its own sync of every message. */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MailServer } from "./_postfix.ts";

const LAUNCHER = fileURLToPath(new URL("../cli/qmailctl.js", import.meta.url));

export interface SandboxOptions {
  /** Local deliveries at once; 0 holds all mail back. */
  readonly concurrency: number;
  /** SMTP sessions at once. Default: 40. */
  readonly sessions?: number;
  /** For STARTTLS. Default: none. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** What is done with the mail. Default: a Maildir. */
  readonly delivery?: string;
  /** Makes it a relay for 127.0.0.0/8. */
  readonly relay?: {
    /** Remote deliveries at once. */
    readonly concurrency: number;
    /** Host and port for each domain. */
    readonly routes: Readonly<Record<string, string>>;
    readonly nameServers?: readonly string[];
  };
}

/** Sets up a sandbox below `directory`. */
export function makeQmailctl(directory: string, port: number, options: SandboxOptions): MailServer {
  const { concurrency, sessions = 40, tls, delivery = "./bench/Maildir/", relay } = options;
  const config = join(directory, "qmailctl.config.ts");
  const value = {
    home: "./qmail",
    sandbox: true,
    host: "bench.test",
    aliases: { bench: delivery, default: delivery },
    ...(tls ? { tls } : {}),
    services: {
      smtp: {
        listen: `127.0.0.1:${port}`,
        concurrency: sessions,
        ...(relay ? { relayFrom: ["127.0.0.0/8"] } : {}),
      },
    },
    ...(relay ? relayConfig(relay) : {}),
    // As a control file: 0 holds all mail back.
    control: { concurrencylocal: concurrency },
  };
  writeFileSync(config, `export default ${JSON.stringify(value)};\n`);
  const qmailctl = (verb: string) =>
    execFileSync(process.execPath, launch(directory, verb), {
      stdio: ["ignore", "ignore", "inherit"],
    });
  qmailctl("install");
  return {
    name: "qmailctl",
    port,
    recipient: "bench@bench.test",
    maildir: join(directory, "qmail/alias/bench/Maildir/new"),
    start: () => void qmailctl("start"),
    stop: () => void qmailctl("stop"),
  };
}

function relayConfig({ concurrency, routes, nameServers }: NonNullable<SandboxOptions["relay"]>) {
  return {
    routes,
    concurrency: { remote: concurrency },
    ...(nameServers ? { remote: { nameServers } } : {}),
  };
}

/** What Node is started with for `qmailctl ARGS` on the sandbox below `directory`. */
export function launch(directory: string, ...args: readonly string[]): string[] {
  return [LAUNCHER, "--config", join(directory, "qmailctl.config.ts"), ...args];
}
