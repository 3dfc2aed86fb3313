/**
 * qmail-remote: `qmail-remote host sender recip [recip ...]`, message on descriptor 0, reports on
 * descriptor 1 (qmail-remote(8)); and, as `qmail-remote --worker [tcpto]`, the process that has all of
 * qmail-rspawn's connections.
 */

import { statSync } from "node:fs";
import { programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { stdinMessage } from "../spawn/stdin-message.ts";
import { serveWork } from "../spawn/worker.ts";
import { warn } from "../warn.ts";
import { STEADY_CLOCK } from "./gate.ts";
import { type RemoteConfig, type RemoteRequest, readRemoteConfig, remote } from "./remote.ts";
import { RemoteWorker } from "./remote-worker.ts";
import { TCPTO_FILE, Tcpto } from "./tcpto.ts";
import { TLS_REPORTS, TlsReports } from "./tls-reports.ts";
import type { Outcome } from "./words.ts";
import * as words from "./words.ts";
import { readWorldWithPolicies, type WorldWithPolicies } from "./world.ts";

/** The control files are looked at again after so many milliseconds: a changed route needs no restart. */
const FRESH_MS = 1000;

const CONTROL_FILES = [
  "control/concurrencyremote",
  "control/smtproutes",
  "control/qmtproutes",
  "control/senderroutes",
  "control/remoteoptions",
  "control/helohost",
  "control/me",
  "control/moreipme",
  "control/notipme",
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
  #world: WorldWithPolicies | null = null;
  #stamp = "";
  #dnsStamp = "";
  #checked = 0;
  readonly #tcpto: Tcpto;

  constructor(tcpto: Tcpto) {
    this.#tcpto = tcpto;
  }

  /** What is known of names counts no more: somebody has mended something. */
  askNamesAgain(): void {
    this.#config = null;
    this.#dnsStamp = "";
  }

  get(): RemoteConfig {
    const now = performance.now();
    if (this.#config && now - this.#checked < FRESH_MS) return this.#config;
    const stamp = stampOf(CONTROL_FILES);
    const dnsStamp = stampOf(DNS_FILES);
    if (!this.#config || stamp !== this.#stamp || dnsStamp !== this.#dnsStamp) {
      // Where it cannot be read now, it is tried again for the next message.
      this.#config = null;
      // What is known of names stays known when a route changes.
      if (!this.#world) this.#world = readWorldWithPolicies(".", { keep: true });
      else if (dnsStamp !== this.#dnsStamp) this.#world.renew();
      this.#dnsStamp = dnsStamp;
      this.#config = readRemoteConfig(".", { ...this.#world, tlsReports, tcpto: this.#tcpto });
      this.#stamp = stamp;
    }
    this.#checked = now;
    return this.#config;
  }
}

const tlsReports = new TlsReports(TLS_REPORTS, Date.now);

function stampOf(paths: readonly string[]): string {
  const stats = paths.map((path) => statSync(path, { throwIfNoEntry: false }));
  // A file that is put in another's place may be older than that.
  return stats.map((stat) => stat && `${stat.ino} ${stat.size} ${stat.mtimeMs}`).join();
}

/** As a worker we may not go through the queue's directories: `tcptoFile` is a descriptor of qmail-rspawn's. */
function work(tcptoFile = TCPTO_FILE): void {
  const tcpto = new Tcpto(tcptoFile);
  const config = new CurrentConfig(tcpto);
  process.on("exit", () => tlsReports.save());
  serveWork((flow) => {
    const worker = new RemoteWorker(() => config.get(), STEADY_CLOCK, flow);
    return {
      work: ([messid = "", host = "", sender = "", recipient = "", made = ""], message) =>
        worker.deliver({ messid, made, host, sender, recipient, message }),
      flush: (domain) => {
        config.askNamesAgain();
        if (domain === "") tcpto.clear();
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
  const outcome = await attempt({ host, sender, recipients });
  const parts = [...outcome.recipients, outcome.report].map(({ status, text }) => status + text);
  process.stdout.write(Buffer.from(parts.map((part) => `${part}\0`).join(""), "latin1"));
  return EXIT.ok;
}

/** Whatever goes wrong with us is no fault of the message: an end without a report would be a bounce. */
async function attempt(envelope: Omit<RemoteRequest, "message">): Promise<Outcome> {
  try {
    process.chdir(qmailHome());
    const config = readRemoteConfig(".");
    return await remote(config, { ...envelope, message: stdinMessage() });
  } catch (error) {
    warn((error as Error).message);
    return words.outcome(words.BAD_CONTROL);
  }
}

if (import.meta.main) {
  const args = programArgs();
  process.title = "qmail-remote";
  // A worker is started in the home, and may not see more of it than it needs.
  if (args[0] === "--worker") work(args[1]);
  else process.exitCode = await main(args);
}
