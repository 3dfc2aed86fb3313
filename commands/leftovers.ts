/** Services that run without a supervisor. */

import { account, type RunningService } from "../qmail/supervise/account.ts";
import { signalProcess } from "../qmail/supervise/procfs.ts";
import { stopUnsupervised } from "../qmail/supervise/unsupervised.ts";
import { CommandError, type Output } from "./output.ts";

/** Says what was left in `home`; the supervisor that is started now ends it first. */
export function tellLeftovers(home: string, output: Output): void {
  for (const service of account(home).services) output.line(ending(service));
}

/** Ends what was left in `home`, and says so. Resolves with how much there was; with null when a supervisor has just begun. */
export async function endLeftovers(home: string, output: Output): Promise<number | null> {
  try {
    return await stopUnsupervised(home, {
      ending: (service) => output.line(ending(service)),
      stuck: (service) =>
        output.note(
          `${service.service}: killed, but the kernel holds it: waiting (${pids(service)})`,
        ),
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EPERM" && code !== "EACCES") throw error;
    throw new CommandError(`cannot end what a supervisor that died may have left: ${message}`, {
      hints: ["run it as the user who started the mail server, or as root"],
      cause: error,
    });
  }
}

/** Ends a supervisor that does not answer, and its keeper before it. */
export function endSupervisor(home: string, output: Output): void {
  const { supervisor, helpers } = account(home);
  if (!supervisor) return;
  output.line(`The supervisor does not answer: killing it (pid ${supervisor.pid}).`);
  for (const helper of helpers) signalProcess(helper, "SIGTERM");
  signalProcess(supervisor, "SIGKILL");
}

function ending(service: RunningService): string {
  return `${service.service} was left by a supervisor that died: ending it (${pids(service)})`;
}

function pids({ processes }: RunningService): string {
  const several = processes.length > 1 ? "pids" : "pid";
  return `${several} ${processes.map(({ pid }) => pid).join(", ")}`;
}
