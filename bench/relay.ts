/**
 * A relay beside Postfix, and Haraka where it is there: smtp-source, the server, smtp-sink, from the first connection to
 * the last message at the sink; the systems in turn in one run, every message synced by each before it says 250.
 *
 *   node bench/relay.ts [--rounds 5] [--messages 3000] [--domains 1,100] [--haraka DIRECTORY] [--keep] [--dir DIRECTORY]
 *
 * Every domain has a route of its own to an address of its own; all lead to one sink, which counts connections. DIRECTORY of
 * --haraka holds a node_modules/Haraka. With --keep clients send all their messages over one connection.
 *
 * Needs root (Postfix does) and Debian's package postfix. All traffic stays on 127.0.0.0/8.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { describeMachine, freePort, median, smtpSource } from "./_bench.ts";
import { harakaVersion, makeHaraka } from "./_haraka.ts";
import { type MailServer, makePostfix, postfixVersion } from "./_postfix.ts";
import { makeQmailctl } from "./_qmailctl.ts";
import { Sink } from "./_sink.ts";

const SESSIONS = 20;
const SIZE = 4096;
/** The default of qmail's concurrencyremote and of Postfix's default_destination_concurrency_limit. */
const CONCURRENCY = 20;
/** So long connections are kept for another message at the most: ours for 5 s, Postfix's for 2 s. */
const KEPT_MS = 6000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "3000" },
    domains: { type: "string", default: "1,100" },
    haraka: { type: "string" },
    keep: { type: "boolean", default: false },
    dir: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);
const cases = values.domains.split(",").map(Number);

interface Figures {
  /** Messages a second. */
  readonly rate: number;
  /** Messages for each connection to the sink. */
  readonly reuse: number;
}

function domain(at: number): string {
  return `d${at}.test`;
}

/** For each domain a relay on an address of its own. */
function routes(port: number): Record<string, string> {
  const all = Array.from({ length: Math.max(...cases) }, (_, at) => {
    return [domain(at), `127.0.${1 + (at >> 8)}.${at & 255}:${port}`];
  });
  return Object.fromEntries(all);
}

/** `messages` to `domains` in equal parts, from SESSIONS clients at once. Resolves with the number sent. */
async function send(port: number, domains: number): Promise<number> {
  const options = {
    l: SIZE,
    f: "sender@example.test",
    ...(values.keep ? { d: true as const } : {}),
  };
  if (domains === 1) {
    await smtpSource(port, { ...options, s: SESSIONS, m: messages, t: `bench@${domain(0)}` });
    return messages;
  }
  const each = Math.ceil(messages / domains);
  let next = 0;
  const client = async () => {
    while (next < domains) {
      await smtpSource(port, { ...options, s: 1, m: each, t: `bench@${domain(next++)}` });
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, client));
  return each * domains;
}

async function round(server: MailServer, sink: Sink, domains: number): Promise<Figures> {
  const before = { messages: sink.messages, connections: sink.connections };
  const started = performance.now();
  const sent = await send(server.port, domains);
  await sink.taken(before.messages + sent);
  const rate = (sent / (performance.now() - started)) * 1000;
  // Connections count when they end: those that are kept for another message end after some seconds.
  await sleep(KEPT_MS);
  return { rate, reuse: sent / (sink.connections - before.connections) };
}

/** Figures for each server in turn, and the medians. */
async function compare(servers: readonly MailServer[], sink: Sink, domains: number): Promise<void> {
  const all = new Map(servers.map((server) => [server, [] as Figures[]]));
  for (let at = 0; at <= rounds; at++) {
    const cells: string[] = [];
    for (const server of servers) {
      const figures = await round(server, sink, domains);
      cells.push(`${server.name} ${figures.rate.toFixed(0)}`);
      // The first round warms up.
      if (at > 0) all.get(server)?.push(figures);
    }
    const load = loadavg()[0]?.toFixed(1);
    process.stdout.write(
      `  ${at === 0 ? "warm-up" : `round ${at}`}: ${cells.join(", ")} (load ${load})\n`,
    );
  }
  const [ours] = servers;
  for (const server of servers) {
    const figures = all.get(server) ?? [];
    const rates = figures.map(({ rate }) => rate);
    const ratios = figures.map(
      ({ rate }, at) => (ours ? (all.get(ours)?.[at]?.rate ?? 0) : 0) / rate,
    );
    const reuse = median(figures.map((each) => each.reuse));
    const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    process.stdout.write(
      `${server.name.padEnd(10)}${median(rates).toFixed(0).padStart(8)} messages/s, ${reuse.toFixed(1)} for each connection; ` +
        `${server === ours ? "" : `qmailctl is ${median(ratios).toFixed(2)} times (${range})`}\n`,
    );
  }
}

function makeServers(directory: string, ports: readonly number[], sinkPort: number): MailServer[] {
  const table = routes(sinkPort);
  const relay = { concurrency: CONCURRENCY, routes: table };
  const [at1 = 0, at2 = 0, at3 = 0] = ports;
  const place = (name: string) => {
    const path = join(directory, name);
    mkdirSync(path);
    return path;
  };
  const servers = [makeQmailctl(place("qmailctl"), at1, { concurrency: CONCURRENCY, relay })];
  const transport = join(directory, "transport");
  const lines = Object.entries(table).map(([name, to]) => {
    return `${name} smtp:[${to.replace(":", "]:")}\n`;
  });
  writeFileSync(transport, lines.join(""));
  servers.push(
    makePostfix(place("postfix"), at2, CONCURRENCY, {
      transport_maps: `texthash:${transport}`,
      relay_domains: Object.keys(table).join(" "),
      default_destination_concurrency_limit: CONCURRENCY,
    }),
  );
  if (values.haraka !== undefined) {
    const installed = values.haraka;
    servers.push(
      makeHaraka(place("haraka"), at3, { installed, concurrency: CONCURRENCY, routes: table }),
    );
  }
  return servers;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  const sink = await Sink.start(await freePort());
  const started: MailServer[] = [];
  try {
    const ports = [await freePort(), await freePort(), await freePort()];
    const servers = makeServers(directory, ports, sink.port);
    for (const server of servers) {
      started.push(server);
      server.start();
    }
    const haraka = values.haraka === undefined ? "" : `, Haraka ${harakaVersion(values.haraka)}`;
    process.stdout.write(
      `${describeMachine(directory)}Postfix ${postfixVersion()}${haraka}; ${messages} messages of ${SIZE} bytes, ` +
        `${SESSIONS} sessions${values.keep ? ", each one connection" : ""}, ${CONCURRENCY} deliveries at once\n`,
    );
    const direct = (await send(sink.port, 1)) / (await timed(() => send(sink.port, 1)));
    process.stdout.write(
      `smtp-source to smtp-sink without a server: ${(direct * 1000).toFixed(0)} messages/s\n`,
    );
    // Haraka does not say when it listens.
    await sleep(KEPT_MS);
    for (const domains of cases) {
      process.stdout.write(`${domains} domain${domains === 1 ? "" : "s"}\n`);
      await compare(servers, sink, domains);
    }
  } finally {
    for (const server of started) server.stop();
    sink.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return performance.now() - began;
}

main().catch((error: Error) => {
  process.stderr.write(`relay: ${error.message}\n`);
  process.exitCode = 111;
});
