/** `qmailctl stop`: doors first, then the mail system, which finishes its deliveries. */

import { endLeftovers } from "./leftovers.ts";
import type { Output } from "./output.ts";
import { askSupervisor } from "./supervisor.ts";

/** Stops the mail server in `home`. No error when none runs. */
export async function stop({ home, output }: { home: string; output: Output }): Promise<void> {
  const response = await askSupervisor(home, { type: "stop" });
  const left = response ? 0 : await endLeftovers(home, output);
  const stopped = response !== null || left > 0;
  output.data({ stopped });
  output.line(
    stopped ? `The mail server in ${home} is stopped.` : `No mail server runs in ${home}.`,
  );
}
