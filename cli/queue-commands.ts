/** queue: what waits, and what is to become of it. */

import type { CAC } from "cac";
import { common, type Flags } from "./flags.ts";
import { unknown } from "./mistakes.ts";

/** Adds the queue command with its actions. */
export function queueCommands(cli: CAC): void {
  cli
    .command("queue [action]", "list: show what is in the queue")
    .action(async (action: string | undefined, flags: Flags) => {
      if (action !== undefined && action !== "list")
        throw unknown("queue action", action, ["list"]);
      const { queueList } = await import("../commands/queue/list.ts");
      await queueList(await common(flags));
    });
}
