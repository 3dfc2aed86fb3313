/** The life of one service, as a table. Pure: time comes in, actions come out. */

/**
 *            start            ready
 *   down ───────────> starting ─────> up
 *    ^ ^                │  exit        │ exit
 *    │ └─stop────────┐  v              v          empty
 *    │             waiting (brake) <────── clearing
 *    │ empty         └──timeout──> starting    │ stop
 *   stopping <─stop─ starting, up              │
 *    ^─────────────────────────────────────────┘
 *
 * When the first process has ended, the others of its group are ended too; `empty`: none is left. Only then the
 * service is down, or may start again: two of it would work on the same files.
 */
export type State =
  | { readonly name: "down" }
  | { readonly name: "starting"; readonly pid: number; readonly since: number }
  | { readonly name: "up"; readonly pid: number; readonly since: number }
  | { readonly name: "clearing"; readonly lived: number }
  | { readonly name: "stopping"; readonly pid: number | null }
  | { readonly name: "waiting"; readonly until: number };

/** What happens to a service. `timeout`: the time that its state allows is over. */
export type Event = "start" | "ready" | "exit" | "empty" | "stop" | "timeout";

export type Action = "spawn" | "up" | "clear" | "wait" | "terminate" | "kill" | "down" | "none";

const NONE = {
  start: "none",
  ready: "none",
  exit: "none",
  empty: "none",
  stop: "none",
  timeout: "none",
} as const;

const TRANSITIONS = {
  down: { ...NONE, start: "spawn" },
  starting: { ...NONE, ready: "up", exit: "clear", stop: "terminate", timeout: "up" },
  up: { ...NONE, exit: "clear", stop: "terminate" },
  clearing: { ...NONE, empty: "wait", stop: "terminate" },
  stopping: { ...NONE, exit: "clear", empty: "down", timeout: "kill" },
  waiting: { ...NONE, stop: "down", timeout: "spawn" },
} as const satisfies Record<State["name"], Record<Event, Action>>;

/** What is to be done when `event` happens in `state`. */
export function actionFor(state: State["name"], event: Event): Action {
  return TRANSITIONS[state][event];
}

/** A service that lives this long has started well: the brake is released. */
export const STEADY_MS = 5000;
const BRAKE_FIRST_MS = 1000;
const BRAKE_MAX_MS = 30_000;

/**
 * How long to wait before a service is started again that lived `lived` ms, after `failures` short
 * lives in a row before. The first death costs nothing; then one second, doubling up to 30.
 */
export function brake(lived: number, failures: number): { delay: number; failures: number } {
  if (lived >= STEADY_MS) return { delay: 0, failures: 0 };
  const delay = failures === 0 ? 0 : Math.min(BRAKE_FIRST_MS * 2 ** (failures - 1), BRAKE_MAX_MS);
  return { delay, failures: failures + 1 };
}
