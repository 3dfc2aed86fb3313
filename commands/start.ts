/** `qmailctl start`: starts the supervisor in the background and waits until every service is ready. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  accessSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import kleur from "kleur";
import { EXIT } from "../qmail/exit.ts";
import { readIds } from "../qmail/ids.ts";
import { programPath } from "../qmail/programs.ts";
import { EXIT_BUSY, type Response, type ServiceStatus } from "../qmail/supervise/control.ts";
import { endLeftovers } from "./leftovers.ts";
import { tailLog } from "./log/files.ts";
import { CommandError, type Output } from "./output.ts";
import { askSupervisor, checkInstalled, checkNotRepaired } from "./supervisor.ts";

/** So long the services may take to become ready. */
const READY_MS = 60_000;
const LOOK_MS = 20;
/** Lines of a service's log that explain why it does not start. */
const LOG_LINES = 5;

export interface StartOptions {
  readonly home: string;
  /** Stay until told to stop. */
  readonly foreground?: boolean;
  readonly output: Output;
}

/** Starts the mail server in `home`. Throws CommandError when a service does not become ready; nothing runs then. */
export async function start({ home, foreground = false, output }: StartOptions): Promise<void> {
  checkInstalled(home);
  checkAllowed(home);
  const running = await askSupervisor(home, { type: "status" });
  if (running) {
    output.data({ already: true, ...running });
    output.line(`The mail server in ${home} runs already (supervisor ${running.pid}).`);
    return;
  }
  checkNotRepaired(home);
  await endLeftovers(home, output);
  const launched = launch(home, foreground);
  const response = await ready(home, launched);
  if (!response.ok) throw await failure(home, response);
  for (const { name, pid } of response.services) {
    output.line(`${kleur.green("✓")} ${name} (pid ${pid})`);
  }
  output.data({ already: false, ...response });
  output.line(`The mail server in ${home} is running.`);
  if (foreground) await stay(home, launched.child);
}

function checkAllowed(home: string): void {
  let sandbox: boolean;
  try {
    sandbox = readIds(home).sandbox;
    accessSync(join(home, "run"), constants.W_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw new CommandError(message, { cause: error });
    throw notRoot(home);
  }
  if (!sandbox && process.getuid?.() !== 0) throw notRoot(home);
}

function notRoot(home: string): CommandError {
  return new CommandError(`cannot start the mail server in ${home}: not its owner`, {
    code: EXIT.hard,
    hints: ["run it as root, or as the user who installed it: sudo qmailctl start"],
  });
}

interface Launched {
  readonly child: ChildProcess;
  /** What the supervisor said before it could do its work. */
  readonly errors: () => string;
}

function launch(home: string, foreground: boolean): Launched {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-start-"));
  const file = join(directory, "errors");
  const fd = openSync(file, "a", 0o600);
  const args = [programPath("supervise/supervise"), home, ...(foreground ? ["--alone"] : [])];
  const child = spawn(process.execPath, args, {
    // A terminal that closes must not take the mail server with it.
    detached: true,
    stdio: ["ignore", "ignore", fd],
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin:/usr/sbin:/sbin" },
  });
  closeSync(fd);
  child.unref();
  let text: string | null = null;
  const errors = () => {
    text ??= readFileSync(file, "utf8").trim();
    rmSync(directory, { recursive: true, force: true });
    return text;
  };
  return { child, errors };
}

async function ready(home: string, { child, errors }: Launched): Promise<Response> {
  const until = Date.now() + READY_MS;
  try {
    while (Date.now() < until) {
      const response = await askSupervisor(home, { type: "wait", timeout: until - Date.now() });
      if (response) return response;
      // Another start was faster: wait for its supervisor.
      if (child.signalCode !== null) break;
      if (child.exitCode !== null && child.exitCode !== EXIT_BUSY) break;
      await sleep(LOOK_MS);
    }
  } finally {
    errors();
  }
  throw new CommandError(`the supervisor did not start: ${errors() || "it said nothing"}`);
}

/** Ends what was begun and says which service did not become ready, and what it said. */
async function failure(home: string, { services }: Response): Promise<CommandError> {
  await askSupervisor(home, { type: "stop" });
  const failed = services.filter(({ state }) => state !== "up");
  const [worst] = failed.toSorted((a, b) => b.failures - a.failures) as [ServiceStatus];
  const said = tailLog(home, { service: worst.name, lines: LOG_LINES }).map(({ text }) => text);
  return new CommandError(
    `${worst.name} does not start${worst.failures > 1 ? ": it keeps dying" : ""}`,
    {
      hints: [
        ...(said.length > 0 ? ["its last words:", ...said.map((line) => `  ${line}`)] : []),
        "nothing is left running",
      ],
    },
  );
}

/** Stops the mail server when told to end, and ends with it. Whoever runs us in the foreground starts us again. */
async function stay(home: string, child: ChildProcess): Promise<void> {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => void askSupervisor(home, { type: "stop" }));
  }
  child.ref();
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  if (child.exitCode !== EXIT.ok) {
    throw new CommandError("the supervisor was killed; its services still run", {
      hints: ["start again: that ends them in order first"],
    });
  }
}
