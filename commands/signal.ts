/** `qmailctl flush`, `reload`, `pause` and `cont`: what a classic qmailctl does by signals. */

import { CommandError, type Output } from "./output.ts";
import { askSupervisor } from "./supervisor.ts";

interface SignalOptions {
  readonly home: string;
  readonly output: Output;
}

/** Has qmail-send try everything in the queue now (SIGALRM), hosts that did not answer a moment ago too. */
export async function flush({ home, output }: SignalOptions): Promise<void> {
  await signalService(home, "qmail-send", "SIGALRM");
  output.data({ flushed: true });
  output.line("Everything in the queue is tried now.");
}

/** Has the daemons read their control files again (SIGHUP). */
export async function reload({ home, output }: SignalOptions): Promise<void> {
  const services = await signalAll(home, "SIGHUP");
  output.data({ reloaded: services });
  output.line(`Control files are read again by ${services.join(" and ")}.`);
}

/** Stops every service where it stands (SIGSTOP). */
export async function pause({ home, output }: SignalOptions): Promise<void> {
  const services = await signalAll(home, "SIGSTOP");
  output.data({ paused: services });
  output.line(`Paused: ${services.join(" and ")}. To go on: qmailctl cont`);
}

/** Lets every service go on (SIGCONT). */
export async function cont({ home, output }: SignalOptions): Promise<void> {
  const services = await signalAll(home, "SIGCONT");
  output.data({ continued: services });
  output.line(`Going on: ${services.join(" and ")}.`);
}

/** Resolves with the names of the services that run and got the signal. */
async function signalAll(home: string, signal: NodeJS.Signals): Promise<string[]> {
  const response = await askSupervisor(home, { type: "status" });
  if (!response) throw notRunning(home);
  const running = response.services.filter(({ pid }) => pid !== null).map(({ name }) => name);
  for (const name of running) await signalService(home, name, signal);
  return running;
}

async function signalService(home: string, service: string, signal: NodeJS.Signals): Promise<void> {
  const response = await askSupervisor(home, { type: "signal", service, signal });
  if (!response) throw notRunning(home);
  if (!response.ok) throw new CommandError(`${service} does not run: see qmailctl status`);
}

function notRunning(home: string): CommandError {
  return new CommandError(`no mail server runs in ${home}`, {
    hints: ["start it: qmailctl start"],
  });
}
