/** Whole temporary installations, driven through the command line as a user does. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** What `qmailctl` is. */
export const LAUNCHER = fileURLToPath(new URL("../../cli/qmailctl.js", import.meta.url));
const CONFIG = new URL("../../cli/define-config.js", import.meta.url).href;

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Milliseconds after which a program that `run` waits for is killed: a test that hangs must not hang the whole run. */
const RUN_LIMIT = 300_000;

/** Runs a program to its end; `code` is null for one that was killed, as after `RUN_LIMIT`. */
export async function run(
  command: string,
  args: readonly string[],
  options: { input?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Result> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", "pipe"],
    timeout: RUN_LIMIT,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** Why a test that needs `programs` is skipped; false when all are there. */
export function lacks(...programs: readonly string[]): string | false {
  const directories = (process.env.PATH ?? "").split(":");
  const missing = programs.filter(
    (program) => !directories.some((directory) => existsSync(join(directory, program))),
  );
  return missing.length > 0 && `needs ${missing.join(", ")}`;
}

/** Runs `qmailctl` with `args`. */
export function qmailctl(args: readonly string[], options: Parameters<typeof run>[2] = {}) {
  return run(process.execPath, [LAUNCHER, ...args], options);
}

/** Below the ports that systems give to connections: one of those would else take it before it is listened on. */
const PORTS_FIRST = 10_000;
/** Every process has its own, so that test files side by side do not choose the same. */
const PORTS_EACH = 100;
const PORTS_SHARES = 227;
let portsGiven = 0;

/** A port on 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const first = PORTS_FIRST + (process.pid % PORTS_SHARES) * PORTS_EACH;
  for (let tries = 0; tries < PORTS_EACH; tries++) {
    const port = first + (portsGiven++ % PORTS_EACH);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${first} to ${first + PORTS_EACH - 1}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}

export interface Site extends AsyncDisposable {
  readonly directory: string;
  readonly home: string;
  readonly port: number;
  readonly config: string;
  /** Runs `qmailctl` for this site. */
  ctl(...args: string[]): Promise<Result>;
  /** As `ctl`, and asserts that it exits with 0. Returns its standard output. */
  ok(...args: string[]): Promise<string>;
}

/** A directory with a config file for a sandbox, not yet installed. Stopped and removed at the end. */
export async function makeSite(fields: Record<string, unknown> = {}): Promise<Site> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-site-"));
  const home = join(directory, "qmail");
  const port = await freePort();
  const config = join(directory, "qmailctl.config.ts");
  const value = {
    home: "./qmail",
    sandbox: true,
    host: "mail.example.test",
    aliases: { you: "./you/Maildir/", postmaster: "you" },
    services: { smtp: { listen: `127.0.0.1:${port}` } },
    ...fields,
  };
  const text = `import { defineConfig } from ${JSON.stringify(CONFIG)};\n\nexport default defineConfig(${JSON.stringify(value, null, 2)});\n`;
  writeFileSync(config, text);
  const ctl = (...args: string[]) => qmailctl(["--config", config, ...args], { cwd: directory });
  return {
    directory,
    home,
    port,
    config,
    ctl,
    async ok(...args) {
      const result = await ctl(...args);
      assert.equal(result.code, 0, `qmailctl ${args.join(" ")}: ${result.stderr}${result.stdout}`);
      return result.stdout;
    },
    async [Symbol.asyncDispose]() {
      await ctl("stop");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** One SMTP conversation: sends each line when the answer to the one before has come. Returns the answers. */
export async function smtp(port: number, lines: readonly string[]): Promise<string[]> {
  const socket = connect(port, "127.0.0.1");
  const replies = smtpReplies(socket);
  const answers = [await nextReply(replies)];
  for (const line of lines) {
    socket.write(`${line}\r\n`);
    answers.push(await nextReply(replies));
  }
  socket.destroy();
  return answers;
}

async function nextReply(replies: AsyncGenerator<string>): Promise<string> {
  const { value, done } = await replies.next();
  if (done) throw new Error("the server closed the connection");
  return value;
}

async function* smtpReplies(socket: Socket): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    for (let end = /^\d{3} .*\r\n/m.exec(text); end; end = /^\d{3} .*\r\n/m.exec(text)) {
      yield text.slice(0, end.index + end[0].length);
      text = text.slice(end.index + end[0].length);
    }
  }
}

/** The SMTP lines of one whole message. */
export function smtpMessage(from: string, to: string, body: string): string[] {
  return [
    "HELO test",
    `MAIL FROM:<${from}>`,
    `RCPT TO:<${to}>`,
    "DATA",
    `Subject: test\r\n\r\n${body}\r\n.`,
    "QUIT",
  ];
}

/** Waits for what other processes do and nothing tells us of. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 50) {
    assert.ok(waited < 60_000, what);
    await sleep(50);
  }
}

/** Resolves with the texts of the files in `directory` when there are at least `count`. */
export function arrived(directory: string, count: number, seconds = 60): Promise<string[]> {
  return arrivedUntil(directory, (texts) => texts.length >= count, seconds);
}

/** Resolves with the texts of the files in `directory` when they are `enough`. */
export async function arrivedUntil(
  directory: string,
  enough: (texts: readonly string[]) => boolean,
  seconds = 60,
): Promise<string[]> {
  const known = new Map<string, string>();
  const texts = () => {
    for (const name of readdirSync(directory)) {
      if (!known.has(name)) known.set(name, readFileSync(join(directory, name), "latin1"));
    }
    return [...known.values()];
  };
  const watcher = watch(directory);
  const expired = AbortSignal.timeout(seconds * 1000);
  let done = false;
  try {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        // Events that were on their way still come after the watcher is closed.
        if (done || !enough(texts())) return;
        done = true;
        resolve();
      };
      watcher.on("change", look);
      expired.addEventListener("abort", () => {
        if (!done) reject(new Error(`only ${known.size} messages in ${directory}`));
        done = true;
      });
      look();
    });
  } finally {
    watcher.close();
  }
  return texts();
}
