/** `qmailctl flush` and `qmailctl reload`: what a classic qmailctl does by signals. */

import { CommandError, type Output } from "./output.ts";
import { askSupervisor } from "./supervisor.ts";

interface SignalOptions {
  readonly home: string;
  readonly output: Output;
}

/** Has qmail-send try everything in the queue now (SIGALRM). */
export async function flush({ home, output }: SignalOptions): Promise<void> {
  await signalService(home, "qmail-send", "SIGALRM");
  output.data({ flushed: true });
  output.line("Everything in the queue is tried now.");
}

/** Has the daemons read their control files again (SIGHUP). */
export async function reload({ home, output }: SignalOptions): Promise<void> {
  const services = await signalService(home, "qmail-send", "SIGHUP");
  const smtpd = services.includes("qmail-smtpd");
  if (smtpd) await signalService(home, "qmail-smtpd", "SIGHUP");
  output.data({ reloaded: true });
  output.line(
    `qmail-send has read locals and virtualdomains again${smtpd ? ", qmail-smtpd its controls" : ""}.`,
  );
}

async function signalService(home: string, service: string, signal: NodeJS.Signals) {
  const response = await askSupervisor(home, { type: "signal", service, signal });
  if (!response) {
    throw new CommandError(`no mail server runs in ${home}`, {
      hints: ["start it: qmailctl start"],
    });
  }
  if (!response.ok) throw new CommandError(`${service} does not run: see qmailctl status`);
  return response.services.map(({ name }) => name);
}
