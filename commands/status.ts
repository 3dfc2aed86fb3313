/** `qmailctl status`: what runs, as whom, since when; and how the queue stands. */

import kleur from "kleur";
import { EXIT } from "../qmail/exit.ts";
import { queueStat } from "../qmail/queue/qmail-qstat.ts";
import { type Account, account, seesAll } from "../qmail/supervise/account.ts";
import {
  keepsDying,
  type LogsStatus,
  type Response,
  type ServiceStatus,
} from "../qmail/supervise/control.ts";
import { type ProcessInfo, uptime } from "../qmail/supervise/procfs.ts";
import { getpwuid } from "../qmail/users/passwd.ts";
import type { Output } from "./output.ts";
import { askSupervisor, SilentSupervisor } from "./supervisor.ts";
import { duration } from "./time.ts";

/** As of systemctl and the LSB's scripts: the program is not running. */
const NOT_RUNNING = 3;

interface ProcessReport {
  readonly pid: number;
  readonly title: string;
  readonly user: string;
  /** Seconds. */
  readonly uptime: number;
}

interface ServiceReport extends Partial<ServiceStatus> {
  readonly name: string;
  readonly processes: readonly ProcessReport[];
}

interface Report {
  readonly headline: string;
  /** What the supervisor says; null without. */
  readonly response: Response | null;
  readonly services: readonly ServiceReport[];
  /** What is not as it should be, in sentences. */
  readonly trouble: readonly string[];
  readonly exitCode: number;
}

/**
 * Shows the state of the mail server in `home`. The exit code is 0 when it runs, 111 when it does and something of it
 * does not work, 3 when no supervisor runs.
 */
export async function status({ home, output }: { home: string; output: Output }): Promise<void> {
  const { headline, response, services, trouble, exitCode } = await look(home);
  const queue = queueState(home);
  process.exitCode = exitCode;
  output.data({
    running: response !== null,
    home,
    ...(response ? { supervisor: response.pid, logs: response.logs } : {}),
    services,
    trouble,
    queue,
  });
  output.line(headline);
  for (const each of trouble) output.line(kleur.red(each));
  if (services.length > 0) printServices(services, output);
  printQueue(queue, output);
}

async function look(home: string): Promise<Report> {
  try {
    const response = await askSupervisor(home, { type: "status" });
    return response ? supervised(home, response) : unsupervised(home, account(home));
  } catch (error) {
    if (!(error instanceof SilentSupervisor)) throw error;
    return silent(home, account(home));
  }
}

function supervised(home: string, response: Response): Report {
  const running = account(home);
  const known = new Set(response.services.map(({ name }) => name));
  const others = running.services.filter(({ service }) => !known.has(service));
  const trouble = [
    ...response.services.filter(keepsDying).map(dying),
    ...response.services.filter(({ state }) => state === "clearing").map(clearing),
    ...logTrouble(response.logs),
  ];
  return {
    headline: `The mail server in ${home} is running (supervisor ${response.pid}).`,
    response,
    services: [
      ...response.services.map((service) => ({
        ...service,
        processes: processesOf(running, service.name),
      })),
      ...others.map(({ service }) => left(running, service)),
    ],
    trouble,
    exitCode: trouble.length > 0 ? EXIT.soft : EXIT.ok,
  };
}

function dying({ name }: ServiceStatus): string {
  return `${name} keeps dying; it is tried again. Its last words: qmailctl log --service ${name}`;
}

function clearing({ name }: ServiceStatus): string {
  return `${name} has died; it is started again when all that it has left has ended.`;
}

function logTrouble({ silent: seconds, trouble }: LogsStatus): string[] {
  if (seconds > 0) {
    return [
      `The writer of the logs has not answered for ${duration(seconds)}; another is started when it has ended.`,
      "What is said meanwhile waits, and mail waits when that is too much.",
    ];
  }
  return trouble === "" ? [] : [`The logs cannot be written: ${trouble}`];
}

function unsupervised(home: string, running: Account): Report {
  const services = leftServices(running);
  const trouble = seesAll(home)
    ? []
    : ["What may run all the same is not for you to see: run it as root."];
  if (running.supervisor || running.helpers.length > 0) {
    trouble.push("A supervisor is just coming or going.");
  } else if (services.length > 0) {
    trouble.push(
      "Nobody starts them again. To begin anew: qmailctl start. To end them: qmailctl stop",
    );
  }
  return {
    headline:
      services.length > 0
        ? `The supervisor in ${home} has died; its services still run.`
        : `The mail server in ${home} is not running.`,
    response: null,
    services,
    trouble,
    exitCode: NOT_RUNNING,
  };
}

function silent(home: string, running: Account): Report {
  return {
    headline: `The supervisor in ${home} does not answer (pid ${running.supervisor?.pid ?? "unknown"}).`,
    response: null,
    services: leftServices(running),
    trouble: ["It is paused, or hangs. Its services still run. To end all of it: qmailctl stop"],
    exitCode: EXIT.soft,
  };
}

/** In the order of a supervisor. */
function leftServices(running: Account): ServiceReport[] {
  return running.services.toReversed().map(({ service }) => left(running, service));
}

/** A service of which no supervisor tells. */
function left(running: Account, name: string): ServiceReport {
  return { name, processes: processesOf(running, name) };
}

function processesOf({ services }: Account, name: string): ProcessReport[] {
  return services.find(({ service }) => service === name)?.processes.map(report) ?? [];
}

function printServices(services: readonly ServiceReport[], output: Output): void {
  output.line();
  output.table(
    [
      { title: "service" },
      { title: "process" },
      { title: "pid", align: "right" },
      { title: "user" },
      { title: "up", align: "right" },
      { title: "restarts", align: "right" },
    ],
    services.flatMap(tableRows),
  );
  output.line();
}

/** null: the queue cannot be read by who asks. */
function queueState(home: string): { messages: number; todo: number } | null {
  try {
    return queueStat(home);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return null;
    throw error;
  }
}

function printQueue(queue: { messages: number; todo: number } | null, output: Output): void {
  if (!queue) output.line("Queue: not to be read by you; run it as root.");
  else {
    const waiting = queue.todo > 0 ? `, ${queue.todo} of them not yet preprocessed` : "";
    output.line(
      `Queue: ${queue.messages === 1 ? "1 message" : `${queue.messages} messages`}${waiting}.`,
    );
  }
}

function report(info: ProcessInfo): ProcessReport {
  const user = getpwuid(info.uid)?.name ?? String(info.uid);
  return { pid: info.pid, title: info.title, user, uptime: Math.floor(uptime(info)) };
}

function tableRows({ name, state, paused, restarts, processes }: ServiceReport): string[][] {
  const standing = paused ? "paused" : (state ?? "not supervised");
  const first = standing === "up" ? kleur.green(name) : kleur.yellow(`${name} (${standing})`);
  const count = restarts === undefined ? "" : String(restarts);
  if (processes.length === 0) return [[first, "", "", "", "", count]];
  return processes.map(({ title, pid, user, uptime: up }, at) => [
    at === 0 ? first : "",
    title,
    String(pid),
    user,
    duration(up),
    at === 0 ? count : "",
  ]);
}
