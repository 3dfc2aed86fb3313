/** `qmailctl stop`: doors first, then the mail system, which finishes its deliveries. */

import { endLeftovers } from "./leftovers.ts";
import type { Output } from "./output.ts";
import { askSupervisor } from "./supervisor.ts";

/** Stops the mail server in `home`. No error when none runs. */
export async function stop({ home, output }: { home: string; output: Output }): Promise<void> {
  const stop = () => askSupervisor(home, { type: "stop" });
  const asked = await stop();
  const left = asked ? 0 : await endLeftovers(home, output);
  // One that was killed just now may have come back meanwhile.
  const stopped = asked !== null || (await stop()) !== null || left > 0;
  output.data({ stopped });
  output.line(
    stopped ? `The mail server in ${home} is stopped.` : `No mail server runs in ${home}.`,
  );
}
