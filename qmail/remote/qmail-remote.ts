/**
 * qmail-remote: `qmail-remote host sender recip [recip ...]`, message on descriptor 0, reports on
 * descriptor 1 (qmail-remote(8)); and, as `qmail-remote --worker`, the process that has all of
 * qmail-rspawn's connections.
 */

import { statSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { serveWork } from "../spawn/worker.ts";
import { deliveryReport, type RemoteConfig, readRemoteConfig, remote } from "./remote.ts";

/** The control files are looked at again after so many milliseconds: a changed route needs no restart. */
const FRESH_MS = 1000;

/** The config as it is now, read again only when a control file has changed. */
class CurrentConfig {
  #config: RemoteConfig | null = null;
  #stamp = "";
  #checked = 0;

  get(): RemoteConfig {
    const now = Date.now();
    if (this.#config && now - this.#checked < FRESH_MS) return this.#config;
    this.#checked = now;
    const stamp = ["qmtproutes", "smtproutes", "helohost", "me", "timeoutconnect", "timeoutremote"]
      .map((name) => statSync(`control/${name}`, { throwIfNoEntry: false })?.mtimeMs)
      .join();
    if (!this.#config || stamp !== this.#stamp) this.#config = readRemoteConfig(".");
    this.#stamp = stamp;
    return this.#config;
  }
}

function work(): void {
  const config = new CurrentConfig();
  serveWork(async ([host = "", sender = "", recipient = ""], message) => {
    const request = { host, sender, recipients: [recipient], message };
    return deliveryReport(await remote(config.get(), request));
  });
}

async function main(args: readonly string[]): Promise<number> {
  const [host, sender, ...recipients] = args.map((arg) => Buffer.from(arg).toString("latin1"));
  if (host === undefined || sender === undefined || recipients.length === 0) {
    process.stdout.write("DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0");
    return EXIT.hard;
  }
  const message = stdinMessage();
  const outcome = await remote(readRemoteConfig("."), { host, sender, recipients, message });
  const parts = [...outcome.recipients, outcome.report].map(({ status, text }) => status + text);
  process.stdout.write(Buffer.from(parts.map((part) => `${part}\0`).join(""), "latin1"));
  return EXIT.ok;
}

if (import.meta.main) {
  process.title = "qmail-remote";
  process.chdir(qmailHome());
  const args = process.argv.slice(2);
  if (args[0] === "--worker") work();
  else process.exitCode = await main(args);
}
