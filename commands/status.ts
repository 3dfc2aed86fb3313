/** `qmailctl status`: what runs, as whom, since when; and how the queue stands. */

import kleur from "kleur";
import { queueStat } from "../qmail/queue/qmail-qstat.ts";
import type { ServiceStatus } from "../qmail/supervise/control.ts";
import { groupMembers, type ProcessInfo, uptime } from "../qmail/supervise/procfs.ts";
import { getpwuid } from "../qmail/users/passwd.ts";
import type { Output } from "./output.ts";
import { askSupervisor } from "./supervisor.ts";
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

interface ServiceReport extends ServiceStatus {
  readonly processes: readonly ProcessReport[];
}

/** Shows the state of the mail server in `home`; the exit code is 3 when it does not run. */
export async function status({ home, output }: { home: string; output: Output }): Promise<void> {
  const response = await askSupervisor(home, { type: "status" });
  const queue = queueState(home);
  if (!response) {
    process.exitCode = NOT_RUNNING;
    output.data({ running: false, home, queue });
    output.line(`The mail server in ${home} is not running.`);
    printQueue(queue, output);
    return;
  }
  const services = response.services.map((service): ServiceReport => {
    const group = new Set(service.pid === null ? [] : [service.pid]);
    return { ...service, processes: byParent(groupMembers(group)).map(report) };
  });
  output.data({ running: true, home, supervisor: response.pid, services, queue });
  output.line(`The mail server in ${home} is running (supervisor ${response.pid}).`);
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
  printQueue(queue, output);
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

/** The first process of a service, then those it has started. */
function byParent(processes: readonly ProcessInfo[]): ProcessInfo[] {
  return processes.toSorted((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
}

function report(info: ProcessInfo): ProcessReport {
  const user = getpwuid(info.uid)?.name ?? String(info.uid);
  return { pid: info.pid, title: info.title, user, uptime: Math.floor(uptime(info)) };
}

function tableRows({ name, state, paused, restarts, processes }: ServiceReport): string[][] {
  const standing = paused ? "paused" : state;
  const first = standing === "up" ? kleur.green(name) : kleur.yellow(`${name} (${standing})`);
  if (processes.length === 0) return [[first, "", "", "", "", String(restarts)]];
  return processes.map(({ title, pid, user, uptime: up }, at) => [
    at === 0 ? first : "",
    title,
    String(pid),
    user,
    duration(up),
    at === 0 ? String(restarts) : "",
  ]);
}
