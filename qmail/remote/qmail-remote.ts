/**
 * qmail-remote: `qmail-remote host sender recip [recip ...]`, message on descriptor 0, reports on
 * descriptor 1 (qmail-remote(8)); and, as `qmail-remote --worker`, the process that has all of
 * qmail-rspawn's connections.
 */

import { statSync } from "node:fs";
import { programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { serveWork } from "../spawn/worker.ts";
import { type RemoteConfig, readRemoteConfig, remote, TCPTO_FILE } from "./remote.ts";
import { RemoteWorker } from "./remote-worker.ts";
import { Tcpto } from "./tcpto.ts";
import { TLS_REPORTS, TlsReports } from "./tls-reports.ts";
import { readWorldWithPolicies, type World } from "./world.ts";

/** The control files are looked at again after so many milliseconds: a changed route needs no restart. */
const FRESH_MS = 1000;

const CONTROL_FILES = [
  "control/smtproutes",
  "control/qmtproutes",
  "control/senderroutes",
  "control/remoteoptions",
  "control/helohost",
  "control/me",
  "control/srsdomain",
  "control/srssecrets",
  "control/locals",
  "control/rcpthosts",
  "control/virtualdomains",
  "control/timeoutconnect",
  "control/timeoutremote",
  "control/timeouttotal",
];
const DNS_FILES = ["control/dnsservers", "/etc/resolv.conf"];

/** The config as it is now, read again only when a control file has changed. */
class CurrentConfig {
  #config: RemoteConfig | null = null;
  #world: World | null = null;
  #stamp = "";
  #dnsStamp = "";
  #checked = 0;

  /** What is known of names counts no more: somebody has mended something. */
  askNamesAgain(): void {
    this.#config = null;
    this.#world = null;
  }

  get(): RemoteConfig {
    const now = Date.now();
    if (this.#config && now - this.#checked < FRESH_MS) return this.#config;
    this.#checked = now;
    const stamp = stampOf(CONTROL_FILES);
    const dnsStamp = stampOf(DNS_FILES);
    if (!this.#config || stamp !== this.#stamp || dnsStamp !== this.#dnsStamp) {
      // What is known of names stays known when a route changes.
      if (!this.#world || dnsStamp !== this.#dnsStamp) {
        this.#world = { ...readWorldWithPolicies(".", { keep: true }), tlsReports };
      }
      this.#config = readRemoteConfig(".", this.#world);
    }
    this.#stamp = stamp;
    this.#dnsStamp = dnsStamp;
    return this.#config;
  }
}

const tlsReports = new TlsReports(TLS_REPORTS, Date.now);

function stampOf(paths: readonly string[]): string {
  return paths.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs).join();
}

function work(): void {
  const config = new CurrentConfig();
  process.on("exit", () => tlsReports.save());
  const clock = {
    now: Date.now,
    after: (ms: number, action: () => void) => void setTimeout(action, ms),
  };
  serveWork((flow) => {
    const worker = new RemoteWorker(() => config.get(), clock, flow);
    return {
      work: ([messid = "", host = "", sender = "", recipient = ""], message) =>
        worker.deliver({ messid, host, sender, recipient, message }),
      flush: (domain) => {
        config.askNamesAgain();
        if (domain === "") new Tcpto(TCPTO_FILE).clear();
        worker.flush(domain);
      },
      leave: () => worker.leave(),
    };
  });
}

async function main(args: readonly string[]): Promise<number> {
  const [host, sender, ...recipients] = args;
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
  const args = programArgs();
  process.title = "qmail-remote";
  process.chdir(qmailHome());
  if (args[0] === "--worker") work();
  else process.exitCode = await main(args);
}
