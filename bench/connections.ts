/**
 * Connections beside Postfix and Haraka, the systems in turn in one run: how many a second are greeted and let go, in plain
 * text and with STARTTLS, what processor time one costs the server, and how much memory an idle one.
 *
 *   node bench/connections.ts [--rounds 5] [--connections 2000] [--tls 500] [--idle 400] [--haraka DIRECTORY]
 *
 * With --connections 0 only memory is measured. Haraka takes part when DIRECTORY has it: `npm install Haraka` there.
 *
 * Needs root (Postfix does), openssl and Debian's package postfix. All traffic stays on 127.0.0.1. The client is one Node
 * process on the same cores and costs more than the servers, so connections a second say little but for who waits; on a
 * machine that does other things many processes get more of it than one. Memory is the growth of all processes' PSS; what the
 * kernel keeps for a socket is the same for all, and left out. "node" is the least that a server in Node can do.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine, freePort, median } from "./_bench.ts";
import { makeHarakaSmtpd } from "./_haraka-smtpd.ts";
import { makePostfix, postfixVersion } from "./_postfix.ts";
import { childrenOf } from "./_processes.ts";
import { launch, makeQmailctl } from "./_qmailctl.ts";

/** So many connections at once are being made. */
const AT_ONCE = 20;
/** Processes that have been started need a moment until they have all that they need. */
const SETTLE_MS = 3000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    connections: { type: "string", default: "2000" },
    tls: { type: "string", default: "500" },
    idle: { type: "string", default: "400" },
    haraka: { type: "string" },
  },
});
const [rounds, connections, tlsConnections, idle] = [
  values.rounds,
  values.connections,
  values.tls,
  values.idle,
].map(Number) as [number, number, number, number];

interface Measured {
  readonly name: string;
  readonly port: number;
  start(): void;
  stop(): void;
  /** The processes that are its. */
  processes(): number[];
}

/** Resolves with what comes when it has a line that begins with `code` and a space. */
function reply(socket: Socket, code: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const failed = () => reject(new Error(`the server hung up, after ${JSON.stringify(text)}`));
    const take = (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (!new RegExp(`^${code} .*\r\n`, "m").test(text)) return;
      socket.off("data", take).off("close", failed);
      resolve();
    };
    socket.on("data", take).once("close", failed);
  });
}

async function say(socket: Socket, line: string, code: string): Promise<void> {
  const answered = reply(socket, code);
  socket.write(`${line}\r\n`);
  await answered;
}

/** A connection that has been greeted and has said EHLO; with `tls` inside TLS. */
async function open(port: number, tls: boolean): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("error", () => {});
  await reply(socket, "220");
  await say(socket, "EHLO bench.test", "250");
  if (!tls) return socket;
  await say(socket, "STARTTLS", "220");
  const secure = connectTls({ socket, rejectUnauthorized: false });
  secure.on("error", () => {});
  await say(secure, "EHLO bench.test", "250");
  return secure;
}

/** Connections a second, and microseconds of processor time that each costs the server. */
async function rate(server: Measured, count: number, tls: boolean): Promise<Rate> {
  const { port } = server;
  const before = processorTime(server.processes());
  const started = performance.now();
  let left = count;
  const visit = async () => {
    while (left-- > 0) {
      const socket = await open(port, tls);
      await say(socket, "QUIT", "221");
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, visit));
  const perSecond = (count / (performance.now() - started)) * 1000;
  const cost = processorTime(server.processes()) - before;
  return { perSecond, cost: (cost / count) * 1e6 };
}

interface Rate {
  readonly perSecond: number;
  readonly cost: number;
}

/** Seconds that these processes and the children they have buried have had of a processor. */
function processorTime(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    } catch {
      return 0;
    }
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

/** kB for each connection that says nothing. */
async function memory(server: Measured, tls: boolean): Promise<number> {
  // Memory once had is kept for the next: only a new server shows what it needs.
  server.stop();
  server.start();
  await answering(server);
  await rate(server, AT_ONCE, tls);
  await sleep(SETTLE_MS);
  const before = pss(server.processes());
  const sockets: Socket[] = [];
  while (sockets.length < idle) {
    const some = Array.from({ length: AT_ONCE }, () => open(server.port, tls));
    sockets.push(...(await Promise.all(some)));
  }
  await sleep(SETTLE_MS);
  const after = pss(server.processes());
  for (const socket of sockets) socket.destroy();
  return (after - before) / sockets.length;
}

/** Resolves when it takes connections. */
async function answering({ port }: Measured): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      (await open(port, false)).destroy();
      return;
    } catch (error) {
      if (tries > 200) throw error;
      await sleep(100);
    }
  }
}

/** kB that these processes have to themselves, with their share of what they have in common. */
function pss(pids: readonly number[]): number {
  const sizes = pids.map((pid) => {
    try {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
      return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

function ourProcesses(directory: string): number[] {
  const text = execFileSync(process.execPath, launch(directory, "status", "--json"), {
    encoding: "utf8",
  });
  const { services } = JSON.parse(text) as {
    services: { processes: { title: string; pid: number }[] }[];
  };
  return services
    .flatMap(({ processes }) => processes)
    .filter(({ title }) => title === "qmail-smtpd")
    .map(({ pid }) => pid);
}

/** What takes part; all need `directory` to stay. */
async function servers(directory: string): Promise<Measured[]> {
  const [certificate, key] = [join(directory, "bench.crt"), join(directory, "bench.key")];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-subj", "/CN=bench.test", "-days", "2", "-keyout", key, "-out", certificate],
    ],
    { stdio: "ignore" },
  );
  const within = (name: string) => {
    mkdirSync(join(directory, name));
    return join(directory, name);
  };
  const [ourDirectory, theirDirectory] = [within("qmailctl"), within("postfix")];
  const ours = makeQmailctl(ourDirectory, await freePort(), {
    concurrency: 1,
    sessions: idle + AT_ONCE,
    tls: { certificate, key },
  });
  const theirs = makePostfix(theirDirectory, await freePort(), 1, {
    default_process_limit: idle + AT_ONCE,
    smtpd_tls_security_level: "may",
    smtpd_tls_cert_file: certificate,
    smtpd_tls_key_file: key,
  });
  const master = () =>
    Number(readFileSync(join(theirDirectory, "spool/pid/master.pid"), "utf8").trim());
  const all: Measured[] = [
    { ...ours, processes: () => ourProcesses(ourDirectory) },
    { ...theirs, processes: () => [master(), ...childrenOf(master())] },
    bareNode(await freePort(), certificate, key),
  ];
  const { haraka: installed } = values;
  if (installed === undefined) return all;
  const options = { installed, port: await freePort(), certificate, key };
  const haraka = makeHarakaSmtpd(within("haraka"), options);
  return [...all, { ...haraka, name: `haraka ${haraka.version}` }];
}

function bareNode(port: number, certificate: string, key: string): Measured {
  const program = fileURLToPath(new URL("./_bare-tls.ts", import.meta.url));
  let child: ChildProcess | null = null;
  return {
    name: "node",
    port,
    start() {
      child = spawn(process.execPath, [program, certificate, key, String(port)]);
    },
    stop: () => void child?.kill("SIGKILL"),
    processes: () => [child?.pid ?? 0],
  };
}

/** Measures all in turn, `rounds` times, and shows for each figure the median and the range. */
async function show<Figures extends Readonly<Record<string, number>>>(
  all: readonly Measured[],
  what: string,
  measure: (server: Measured) => Promise<Figures>,
): Promise<void> {
  const figures = all.map((): Figures[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, server] of all.entries()) figures[at]?.push(await measure(server));
  }
  process.stdout.write(`${what}\n`);
  for (const [at, { name }] of all.entries()) {
    const columns = Object.keys(figures[at]?.[0] ?? {}).map((unit) => {
      const each = figures[at]?.map((one) => one[unit] as number) ?? [];
      const [least, most] = [Math.min(...each), Math.max(...each)];
      return `${median(each).toFixed(0)} ${unit} (${least.toFixed(0)} to ${most.toFixed(0)})`;
    });
    process.stdout.write(`  ${name.padEnd(14)} ${columns.join("   ")}\n`);
  }
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  const all = await servers(directory);
  try {
    for (const server of all) server.start();
    for (const server of all) await answering(server);
    process.stdout.write(describeMachine(directory));
    process.stdout.write(
      `Postfix ${postfixVersion()}; ${AT_ONCE} connections being made at once; median of ${rounds} rounds in turn (range)\n`,
    );
    for (const tls of connections > 0 ? [false, true] : []) {
      const count = tls ? tlsConnections : connections;
      const kind = tls ? "with STARTTLS" : "in plain text";
      for (const server of all) await rate(server, count, tls);
      await show(all, `${count} connections a round ${kind}`, async (server) => {
        const { perSecond, cost } = await rate(server, count, tls);
        return { "a second": perSecond, "µs of processor time each": cost };
      });
    }
    for (const tls of [false, true]) {
      const kind = tls ? "in TLS" : "in plain text";
      await show(all, `${idle} idle connections ${kind}`, async (server) => {
        return { "kB each": await memory(server, tls) };
      });
    }
  } finally {
    for (const server of all) server.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`connections: ${error.message}\n`);
  process.exitCode = 1;
});
