/** `qmailctl restart`: stop and start. */

import type { Output } from "./output.ts";
import { start } from "./start.ts";
import { stop } from "./stop.ts";

/** Stops the mail server in `home` if it runs, and starts it. */
export async function restart({ home, output }: { home: string; output: Output }): Promise<void> {
  // One document is the result: that of the start.
  await stop({ home, output: { ...output, data() {} } });
  await start({ home, output });
}
