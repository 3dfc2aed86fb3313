/** Talking to the supervisor: one JSON line each way over run/supervise. */

import { connect } from "node:net";
import { constants } from "node:os";

export const CONTROL_SOCKET = "run/supervise";
/** Exit code of a supervisor that found another one in its home. */
export const EXIT_BUSY = 75;

export type Request =
  | { readonly type: "status" }
  /** Answered when every service says it is ready, or one keeps dying. */
  | { readonly type: "wait"; readonly timeout: number }
  /** Stops everything in order; answered when all has ended and the supervisor leaves. */
  | { readonly type: "stop" }
  | { readonly type: "signal"; readonly service: string; readonly signal: NodeJS.Signals };

export interface ServiceStatus {
  readonly name: string;
  /** clearing: its first process has ended, and others of it are being ended. waiting: it is started again soon. */
  readonly state: "down" | "starting" | "up" | "clearing" | "stopping" | "waiting";
  readonly pid: number | null;
  /** True between SIGSTOP and SIGCONT. */
  readonly paused: boolean;
  readonly restarts: number;
  /** Short lives in a row: more than one means that it keeps dying. */
  readonly failures: number;
}

/** How the writer of the logs does. */
export interface LogsStatus {
  /** Null between two. */
  readonly pid: number | null;
  /** Seconds that it has not answered, when it should have; 0 otherwise. */
  readonly silent: number;
  /** Why it cannot write; "" when it can. */
  readonly trouble: string;
}

export interface Response {
  readonly ok: boolean;
  readonly pid: number;
  readonly services: readonly ServiceStatus[];
  readonly logs: LogsStatus;
}

/** A longer request is nobody's. */
export const REQUEST_MAX = 10_000;
/** Milliseconds that a wait may last: a timer takes no more. */
const WAIT_MAX = 0x7fffffff;

/** The request on `line`; null for what is none. */
export function parseRequest(line: string): Request | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { type, timeout, service, signal } = value as Record<string, unknown>;
  if (type === "status" || type === "stop") return { type };
  if (type === "wait" && typeof timeout === "number" && timeout >= 0) {
    return { type, timeout: Math.min(timeout, WAIT_MAX) };
  }
  if (type === "signal" && typeof service === "string" && isSignal(signal)) {
    return { type, service, signal };
  }
  return null;
}

function isSignal(value: unknown): value is NodeJS.Signals {
  return typeof value === "string" && Object.hasOwn(constants.signals, value);
}

/** A service with more short lives in a row than this keeps dying. */
const FAILURES_MAX = 1;

/** True when `service` is not up, and there is little hope. */
export function keepsDying({
  state,
  failures,
}: Pick<ServiceStatus, "state" | "failures">): boolean {
  return state !== "up" && failures > FAILURES_MAX;
}

/** No supervisor answers in this home. */
export class NotRunningError extends Error {}

/** There is one, and it says nothing: it is stopped, or hangs. */
export class SilentError extends Error {}

/** What is answered at once is waited for so long. */
const SILENT_MS = 5000;

/**
 * Asks the supervisor of the installation in `home`. Rejects with NotRunningError when there is none,
 * with SilentError when there is one that
 * says nothing, and with the system's error when we may not ask.
 */
export function ask(home: string, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    const back = process.cwd();
    // Relative, because a socket's path must be short.
    process.chdir(home);
    const socket = connect(CONTROL_SOCKET);
    process.chdir(back);
    let text = "";
    let response: Response | null = null;
    socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("data", (chunk) => {
      text += String(chunk);
      if (!text.includes("\n")) return;
      response = JSON.parse(text);
      // A supervisor that stops has gone, with its lock, when the connection ends.
      if (request.type !== "stop") socket.destroy();
    });
    if (request.type === "status" || request.type === "signal") {
      socket.setTimeout(SILENT_MS, () =>
        socket.destroy(new SilentError(`the supervisor in ${home} does not answer`)),
      );
    }
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const none = error.code === "ENOENT" || error.code === "ECONNREFUSED";
      reject(none ? new NotRunningError(`no supervisor runs in ${home}`, { cause: error }) : error);
    });
    socket.on("close", () => {
      if (response) resolve(response);
      else reject(new NotRunningError(`the supervisor in ${home} has gone`));
    });
  });
}
