/**
 * Connections beside Postfix, the two systems in turn in one run: how many a second are greeted and let go, in plain text
 * and with STARTTLS, and how much memory an idle one costs.
 *
 *   node bench/connections.ts [--rounds 5] [--connections 2000] [--tls 500] [--idle 400]
 *
 * With --connections 0 only memory is measured.
 *
 * Needs root (Postfix does), openssl and Debian's package postfix. All traffic stays on 127.0.0.1. The client is one Node
 * process on the same cores, so the figures are lower than what each server alone could do. Memory is the
 * growth of all processes' PSS; what the kernel keeps for a socket is the same for both, and left out.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { compare, describeMachine, freePort } from "./_bench.ts";
import { type MailServer, makePostfix, postfixVersion } from "./_postfix.ts";
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
  },
});
const [rounds, connections, tlsConnections, idle] = [
  values.rounds,
  values.connections,
  values.tls,
  values.idle,
].map(Number) as [number, number, number, number];

interface Measured extends MailServer {
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

/** Connections a second. */
async function rate({ port }: MailServer, count: number, tls: boolean): Promise<number> {
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
  return (count / (performance.now() - started)) * 1000;
}

/** kB for each connection that says nothing. */
async function memory(server: Measured, tls: boolean): Promise<number> {
  // Memory once had is kept for the next: only a new server shows what it needs.
  server.stop();
  server.start();
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

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]) === parent;
      } catch {
        return false;
      }
    });
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

async function servers(directory: string): Promise<[ours: Measured, theirs: Measured]> {
  const [certificate, key] = [join(directory, "bench.crt"), join(directory, "bench.key")];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-subj", "/CN=bench.test", "-days", "2", "-keyout", key, "-out", certificate],
    ],
    { stdio: "ignore" },
  );
  const [ourDirectory, theirDirectory] = ["qmailctl", "postfix"].map((name) =>
    join(directory, name),
  ) as [string, string];
  for (const path of [ourDirectory, theirDirectory]) mkdirSync(path);
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
  return [
    { ...ours, processes: () => ourProcesses(ourDirectory) },
    { ...theirs, processes: () => [master(), ...childrenOf(master())] },
  ];
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("run it as root: Postfix does not start otherwise");
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-bench-"));
  // Postfix's users must be able to reach their files.
  execFileSync("chmod", ["755", directory]);
  const both = await servers(directory);
  const [ours, theirs] = both;
  try {
    for (const server of both) server.start();
    process.stdout.write(describeMachine(directory));
    process.stdout.write(
      `Postfix ${postfixVersion()}; ${AT_ONCE} connections being made at once\n`,
    );
    for (const tls of connections > 0 ? [false, true] : []) {
      const count = tls ? tlsConnections : connections;
      const kind = tls ? "with STARTTLS" : "in plain text";
      await compare(rounds, `connections a second ${kind}, ${count} a round`, async () => [
        await rate(ours, count, tls),
        await rate(theirs, count, tls),
      ]);
    }
    for (const tls of [false, true]) {
      const kind = tls ? "in TLS" : "in plain text";
      await compare(rounds, `kB for each of ${idle} idle connections ${kind}`, async () => [
        await memory(ours, tls),
        await memory(theirs, tls),
      ]);
    }
  } finally {
    for (const server of both) server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`connections: ${error.message}\n`);
  process.exitCode = 1;
});
