/**
 * Whether dead domains slow the living: a relay of many messages to many domains, once with a fifth of them dead, once with
 * all alive; how many messages for the other four fifths have arrived, every 5 seconds.
 *
 *   unshare -n sh -c 'ip link set lo up; node bench/dead-domains.ts'
 *     [--messages 100000] [--domains 1000] [--dead 200] [--concurrency 500] [--sessions 20] [--rate 0] [--dir DIRECTORY]
 *
 * With --rate so many messages come in a second: below what the machine can do, the living must keep up with it. Without,
 * the machine is full, and what a dead domain's message costs (its files, its bounce) is taken from the others.
 * Messages come in turn for all domains. Dead are, in equal parts, domains that do not exist; whose server refuses
 * connections, drops every packet, says 421 instead of a greeting, or takes connections and says nothing. All are looked up
 * in a real name server. Needs root, port 25 of loopback addresses, ip(8), and Debian's packages postfix (for smtp-sink), nsd,
 * unbound, ldnsutils.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startNameServers } from "../test/qmail/dns/_nameserver.ts";
import { describeMachine, freePort } from "./_bench.ts";
import { cpuTime, processesOf } from "./_processes.ts";
import { makeQmailctl } from "./_qmailctl.ts";
import { Sink } from "./_sink.ts";
import { sendAll } from "./_source.ts";

const ZONE = "relay.test";
const SIZE = 4096;
const STEP_MS = 5000;
/** Where the living are, and where those are that may be dead. */
const LIVE_IP = "127.1.0.1";
const OTHER_IP = "127.1.0.2";
const SILENT_IP = "127.4.0.1";
const SURLY_IP = "127.3.0.1";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "100000" },
    domains: { type: "string", default: "1000" },
    dead: { type: "string", default: "200" },
    concurrency: { type: "string", default: "500" },
    sessions: { type: "string", default: "20" },
    rate: { type: "string", default: "0" },
    dir: { type: "string", default: tmpdir() },
  },
});
const [messages, domains, dead, concurrency, sessions, rate] = [
  values.messages,
  values.domains,
  values.dead,
  values.concurrency,
  values.sessions,
  values.rate,
].map(Number) as [number, number, number, number, number, number];

/** The ways to be dead: the address that is no use, null for no such domain. */
const WAYS: readonly ((at: number) => string | null)[] = [
  () => null,
  // Nobody listens there.
  (at) => `127.2.${at >> 8}.${at & 255}`,
  // Packets to there are lost.
  (at) => `10.66.${at >> 8}.${at & 255}`,
  () => SURLY_IP,
  () => SILENT_IP,
];

/** Domains are spread so that of any few in a row some are dead. */
function isDead(at: number): boolean {
  return Math.floor(((at + 1) * dead) / domains) > Math.floor((at * dead) / domains);
}

/** The zone: an MX and an address for each domain. */
function zone(allAlive: boolean): string {
  let count = 0;
  const records = Array.from({ length: domains }, (_, at) => {
    const way = isDead(at) ? WAYS[count++ % WAYS.length] : null;
    const ip = way ? (allAlive ? OTHER_IP : way(count)) : LIVE_IP;
    return ip === null ? "" : `d${at} MX 10 mx.d${at}\nmx.d${at} A ${ip}\n`;
  });
  return records.join("");
}

/** A server that answers connections with `greeting`; with nothing when that is empty. */
async function listen(ip: string, greeting: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (greeting !== "") socket.end(greeting);
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(25, ip, 1000, resolve);
  });
  return server;
}

/** An interface whose other end nobody is at. */
function makeVoid(): void {
  const ip = (...args: string[]) => execFileSync("ip", args);
  ip("link", "add", "dead0", "type", "veth", "peer", "name", "dead1");
  ip("link", "set", "dead0", "arp", "off", "up");
  ip("link", "set", "dead1", "up");
  ip("addr", "add", "10.66.255.254/16", "dev", "dead0");
}

/** Messages at the living after each step, and the deliveries under way then. */
interface Run {
  readonly steps: { readonly arrived: number; readonly slots: string }[];
  readonly seconds: number;
  /** Processor time of each program until then, in seconds. */
  readonly cpu: ReadonlyMap<string, number>;
}

async function run(directory: string, allAlive: boolean): Promise<Run> {
  const path = join(directory, allAlive ? "alive" : "dead");
  mkdirSync(path);
  await using names = await startNameServers({ [ZONE]: zone(allAlive) });
  const sinks = [await Sink.start(25, LIVE_IP), await Sink.start(25, OTHER_IP)] as const;
  const port = await freePort();
  const server = makeQmailctl(path, port, {
    concurrency: 20,
    delivery: "# to nobody",
    sessions: sessions * 2,
    relay: { concurrency, routes: {}, nameServers: [`${names.nsd.ip}:${names.nsd.port}`] },
  });
  // By MX nobody sends to himself, and all of 127/8 is himself.
  writeFileSync(join(path, "qmail/control/notipme"), "127.0.0.0/8\n");
  server.start();
  try {
    const started = performance.now();
    const sent = sendAll(port, {
      sessions,
      rate,
      messages,
      size: SIZE,
      sender: server.recipient,
      recipient: (at) => `bench@d${at % domains}.${ZONE}`,
    });
    const wanted = Array.from({ length: messages }, (_, at) => isDead(at % domains)).filter(
      (is) => !is,
    ).length;
    const steps: Run["steps"] = [];
    const timer = setInterval(() => {
      steps.push({ arrived: sinks[0].messages, slots: slots(path) });
    }, STEP_MS);
    try {
      await sent;
      await sinks[0].taken(wanted);
    } finally {
      clearInterval(timer);
    }
    const seconds = (performance.now() - started) / 1000;
    return { steps, seconds, cpu: processorTimes(join(path, "qmail")) };
  } finally {
    server.stop();
    for (const sink of sinks) sink.stop();
  }
}

/** What each program of the installation in `home` has used so far. */
function processorTimes(home: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const { pid, title } of processesOf(home)) {
    times.set(title, (times.get(title) ?? 0) + cpuTime(pid));
  }
  return times;
}

/** Remote deliveries under way, as the log says. */
function slots(path: string): string {
  const log = readFileSync(join(path, "qmail/log/qmail-send/current"), "latin1");
  return /.*remote (\d+\/\d+)/s.exec(log.slice(-2000))?.[1] ?? "";
}

function table(withDead: Run, alive: Run): string {
  const length = Math.max(withDead.steps.length, alive.steps.length);
  const lines = Array.from({ length }, (_, at) => {
    const cells = [withDead, alive].flatMap(({ steps }) => {
      const step = steps[at];
      if (!step) return ["", "", ""];
      const rate = ((step.arrived - (steps[at - 1]?.arrived ?? 0)) * 1000) / STEP_MS;
      return [String(step.arrived), rate.toFixed(0), step.slots];
    });
    return [String(((at + 1) * STEP_MS) / 1000), ...cells];
  });
  const head = ["seconds", "arrived", "a second", "slots", "arrived", "a second", "slots"];
  return [head, ...lines]
    .map((cells) => `${cells.map((cell) => cell.padStart(9)).join(" ")}\n`)
    .join("");
}

function processorTable(withDead: Run, alive: Run): string {
  const titles = [...withDead.cpu.keys()].toSorted();
  const rows = titles.map((title) =>
    [withDead, alive].map(({ cpu }) => (cpu.get(title) ?? 0).toFixed(1).padStart(9)),
  );
  return rows.map((cells, at) => `${(titles[at] ?? "").padEnd(20)}${cells.join("")}\n`).join("");
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error("run it as root, in a network namespace of its own");
  const directory = mkdtempSync(join(values.dir, "qmailctl-bench-"));
  try {
    makeVoid();
    const servers = [await listen(SURLY_IP, "421 not now\r\n"), await listen(SILENT_IP, "")];
    process.stdout.write(
      `${describeMachine(directory)}${messages} messages of ${SIZE} bytes to ${domains} domains of which ${dead} are dead, or alive; ` +
        `${sessions} sessions, ${rate || "as many as it takes"} a second, ${concurrency} deliveries at once, load ${loadavg()[0]?.toFixed(1)}\n`,
    );
    const withDead = await run(directory, false);
    await sleep(STEP_MS);
    const alive = await run(directory, true);
    process.stdout.write(
      `${"with dead domains".padStart(39)}${"all alive".padStart(30)}\n${table(withDead, alive)}`,
    );
    process.stdout.write(
      `the living had all after ${withDead.seconds.toFixed(1)} s beside dead domains, ${alive.seconds.toFixed(1)} s without; ` +
        `processor time in seconds:\n${processorTable(withDead, alive)}`,
    );
    for (const server of servers) server.close();
  } finally {
    execFileSync("ip", ["link", "del", "dead0"]);
    rmSync(directory, { recursive: true, force: true });
  }
}

main()
  .catch((error: Error) => {
    process.stderr.write(`dead-domains: ${error.message}\n`);
    process.exitCode = 111;
  })
  // Connections to the silent server are open still.
  .finally(() => process.exit());
