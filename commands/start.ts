/** `qmailctl start`: starts the supervisor in the background and waits until every service is ready. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import kleur from "kleur";
import { EXIT } from "../qmail/exit.ts";
import { readIds } from "../qmail/ids.ts";
import { nodeArguments, programPath } from "../qmail/programs.ts";
import { MAIL_SYSTEM } from "../qmail/supervise/account.ts";
import { EXIT_BUSY, keepsDying, type Response } from "../qmail/supervise/control.ts";
import { tellLeftovers } from "./leftovers.ts";
import { tailLog } from "./log/files.ts";
import { CommandError, type Output } from "./output.ts";
import { askSupervisor, checkInstalled, checkNotRepaired } from "./supervisor.ts";
import { trustedPath } from "./trusted.ts";

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

/**
 * Starts the mail server in `home`. Throws CommandError when a service does not become ready: without the mail system
 * nothing runs then, without a door all the others do.
 */
export async function start({ home, foreground = false, output }: StartOptions): Promise<void> {
  checkInstalled(home);
  checkAllowed(home);
  const running = await askSupervisor(home, { type: "status" });
  if (running) {
    // Another start may be at it, or a supervisor that has just come back.
    const response = (await askSupervisor(home, { type: "wait", timeout: READY_MS })) ?? running;
    output.data({ already: true, ...response });
    output.line(`The mail server in ${home} runs already (supervisor ${running.pid}).`);
    if (!response.ok) throw notUp(home, response);
    return;
  }
  checkNotRepaired(home);
  tellLeftovers(home, output);
  const launched = launch(home, foreground);
  const response = await ready(home, launched);
  if (!isUp(response, MAIL_SYSTEM)) {
    await askSupervisor(home, { type: "stop" });
    throw notUp(home, response, "nothing is left running");
  }
  for (const { name, pid } of response.services.filter(({ state }) => state === "up")) {
    output.line(`${kleur.green("✓")} ${name} (pid ${pid})`);
  }
  output.data({ already: false, ...response });
  const failed = response.ok ? null : notUp(home, response);
  if (!failed) output.line(`The mail server in ${home} is running.`);
  else if (!foreground) throw failed;
  else for (const line of [failed.message, ...failed.hints]) output.note(line);
  if (foreground) await stay(home, launched.child);
}

function isUp({ services }: Response, service: string): boolean {
  return services.some(({ name, state }) => name === service && state === "up");
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
  const args = [home, ...(foreground ? ["--alone"] : [])];
  const child = spawn(process.execPath, nodeArguments(programPath("supervise/supervise"), args), {
    // A terminal that closes must not take the mail server with it.
    detached: true,
    // No file, which a full disk would not take.
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: trustedPath(process.env.PATH ?? "") },
  });
  child.unref();
  const stderr = child.stderr as Socket;
  stderr.unref();
  let text = "";
  stderr.on("data", (chunk) => (text += chunk));
  return { child, errors: () => text.trim() };
}

async function ready(home: string, { child, errors }: Launched): Promise<Response> {
  const began = performance.now();
  for (let left = READY_MS; left > 0; left = READY_MS - (performance.now() - began)) {
    // Looked at before we ask: another start may be faster, and its supervisor answers before ours leaves.
    const { exitCode, signalCode } = child;
    const response = await askSupervisor(home, { type: "wait", timeout: READY_MS });
    if (response) return response;
    if (signalCode !== null || (exitCode !== null && exitCode !== EXIT_BUSY)) break;
    await sleep(LOOK_MS);
  }
  throw new CommandError(`the supervisor did not start: ${errors() || "it said nothing"}`);
}

/** Says which services did not become ready, and what they said. `end`: what runs now. */
function notUp(
  home: string,
  { services }: Response,
  end = "everything else runs, and this is tried again: see qmailctl status",
): CommandError {
  const missing = services.filter(({ state }) => state !== "up");
  // Without the mail system the doors have not been tried.
  const mail = missing.filter(({ name }) => name === MAIL_SYSTEM);
  const failed = mail.length > 0 ? mail : missing;
  const dying = failed.some(keepsDying);
  const names = failed.map(({ name }) => name);
  const message =
    names.length > 1
      ? `${names.join(" and ")} do not start`
      : `${names[0]} does not start${dying ? ": it keeps dying" : ""}`;
  return new CommandError(message, {
    hints: [...names.flatMap((name) => lastWords(home, name)), end],
  });
}

function lastWords(home: string, service: string): string[] {
  const lines = tailLog(home, { service, lines: LOG_LINES }).map(({ text }) => `  ${text}`);
  // One that keeps dying says the same each time.
  const said = [...new Set(lines)];
  return said.length > 0 ? [`the last words of ${service}:`, ...said] : [];
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
