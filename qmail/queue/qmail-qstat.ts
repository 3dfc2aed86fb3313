/** qmail-qstat: how many messages are in the queue (qmail-qstat(8)). */

import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { countQueue } from "./queue-read.ts";

/** Messages in the queue of the installation in `home`, and how many are not preprocessed yet. */
export function queueStat(home: string): { messages: number; todo: number } {
  return countQueue(`${home}/queue`);
}

if (import.meta.main) {
  try {
    const { messages, todo } = queueStat(qmailHome());
    process.stdout.write(`messages in queue: ${messages}\n`);
    process.stdout.write(`messages in queue but not yet preprocessed: ${todo}\n`);
  } catch (error) {
    process.stderr.write(`qmail-qstat: fatal: ${(error as Error).message}\n`);
    process.exitCode = EXIT.soft;
  }
}
