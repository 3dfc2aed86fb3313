/** Real name servers on loopback: nsd with signed and unsigned zones, and unbound, which checks signatures. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "../../../qmail/dns/exchange.ts";
import type { NameServer } from "../../../qmail/dns/resolv-conf.ts";
import { freePort } from "../../site/_site.ts";

const PROGRAMS = ["nsd", "unbound", "ldns-keygen", "ldns-signzone"];

/** False when all programs are there, else why tests that need them are skipped. */
export const withoutNameServers: string | false = (() => {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  for (const name of PROGRAMS) {
    const found = spawnSync("which", [name], { env: { PATH: path } });
    if (found.status !== 0) return `${name} is not installed`;
  }
  return process.getuid?.() === 0 ? false : "needs root";
})();

export interface NameServers extends AsyncDisposable {
  /** Answers for its zones, and for nothing else. */
  readonly nsd: NameServer;
  /** Asks nsd and checks the signatures of the zones named *.signed. */
  readonly unbound: NameServer;
}

/** Starts both. `zones`: records by zone name; a zone whose name begins with "signed." is signed. */
export async function startNameServers(
  zones: Readonly<Record<string, string>>,
): Promise<NameServers> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-dns-"));
  const [nsdPort, unboundPort] = [await freePort(), await freePort()];
  const anchors: string[] = [];
  const files = Object.entries(zones).map(([zone, records]) => {
    const file = join(directory, zone);
    writeFileSync(
      file,
      `$ORIGIN ${zone}.\n$TTL 300\n@ SOA ns root 1 1h 1h 1h 60\n@ NS ns\nns A 127.0.0.1\n${records}\n`,
    );
    if (!zone.startsWith("signed.")) return { zone, file };
    anchors.push(sign(directory, zone));
    return { zone, file: `${file}.signed` };
  });
  const nsd = await startNsd(directory, nsdPort, files);
  const unbound = await startUnbound(directory, { port: unboundPort, nsdPort, anchors, zones });
  return {
    nsd: { ip: "127.0.0.1", port: nsdPort },
    unbound: { ip: "127.0.0.1", port: unboundPort },
    async [Symbol.asyncDispose]() {
      for (const child of [nsd, unbound]) {
        child.kill("SIGTERM");
        if (child.exitCode === null) await once(child, "exit");
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Signs the zone's file. Returns the DS or DNSKEY line of its key. */
function sign(directory: string, zone: string): string {
  const run = (program: string, ...args: string[]) => {
    return execFileSync(program, args, {
      cwd: directory,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  };
  const key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone).trim();
  run("ldns-signzone", "-n", zone, key);
  return readFileSync(join(directory, `${key}.key`), "utf8").trim();
}

async function startNsd(
  directory: string,
  port: number,
  files: readonly { zone: string; file: string }[],
): Promise<ChildProcess> {
  const config = join(directory, "nsd.conf");
  const zones = files.map(({ zone, file }) => `zone:\n  name: "${zone}"\n  zonefile: "${file}"\n`);
  writeFileSync(
    config,
    `server:\n  ip-address: 127.0.0.1\n  port: ${port}\n  username: ""\n  chroot: ""\n  zonesdir: "${directory}"\n` +
      `  database: ""\n  pidfile: ""\n  xfrdfile: "${directory}/xfrd"\n  zonelistfile: "${directory}/list"\n` +
      `  server-count: 1\n  xfrdir: "${directory}"\nremote-control:\n  control-enable: no\n${zones.join("")}`,
  );
  const child = spawn("/usr/sbin/nsd", ["-d", "-c", config], { stdio: "ignore" });
  await answers(child, { ip: "127.0.0.1", port }, files[0]?.zone ?? "");
  return child;
}

async function startUnbound(
  directory: string,
  options: {
    port: number;
    nsdPort: number;
    anchors: readonly string[];
    zones: Readonly<Record<string, string>>;
  },
): Promise<ChildProcess> {
  const { port, nsdPort, anchors, zones } = options;
  const config = join(directory, "unbound.conf");
  const names = Object.keys(zones);
  const stubs = names.map(
    (zone) =>
      `stub-zone:\n  name: "${zone}."\n  stub-addr: 127.0.0.1@${nsdPort}\n  stub-prime: no\n`,
  );
  // What no anchor covers is taken unsigned; the names under test. are nobody's otherwise.
  const insecure = names.filter((zone) => !zone.startsWith("signed."));
  writeFileSync(
    config,
    `server:\n  interface: 127.0.0.1\n  port: ${port}\n  username: ""\n  chroot: ""\n  directory: "${directory}"\n` +
      '  pidfile: ""\n  do-not-query-localhost: no\n  do-daemonize: no\n  use-syslog: no\n  local-zone: "test." nodefault\n' +
      `  module-config: "validator iterator"\n${anchors.map((key) => `  trust-anchor: "${key.replaceAll("\t", " ")}"\n`).join("")}` +
      `${insecure.map((zone) => `  domain-insecure: "${zone}."\n`).join("")}remote-control:\n  control-enable: no\n${stubs.join("")}`,
  );
  const child = spawn("/usr/sbin/unbound", ["-d", "-c", config], { stdio: "ignore" });
  await answers(child, { ip: "127.0.0.1", port }, names[0] ?? "");
  return child;
}

/** Resolves when `server` answers. */
async function answers(child: ChildProcess, server: NameServer, name: string): Promise<void> {
  for (let tries = 0; tries < 100 && child.exitCode === null; tries++) {
    const answer = await exchange(server, { name, type: "A" }, 500).catch(() => null);
    if (answer && answer.verdict.type !== "trouble") return;
    await sleep(50);
  }
  child.kill();
  throw new Error(`the name server on port ${server.port} does not answer`);
}
