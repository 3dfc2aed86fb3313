/** qmail-qread: the messages in the queue that have recipients left (qmail-qread(8)). */

import { date822 } from "../date822.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { type QueuedMessage, readQueue } from "./queue-read.ts";

/** What qmail-qread prints for one message. */
export function formatQread(message: QueuedMessage): string {
  const { id, size, birth, sender, bouncing, recipients } = message;
  const date = date822(Math.floor(birth / 1000)).replace(/ -0000$/, " GMT");
  const head = `${date}  #${id}  ${size}  <${safe(sender)}> ${bouncing ? " bouncing" : ""}\n`;
  const lines = recipients.map(
    ({ channel, address, done }) => `${done ? "  done" : ""}\t${channel}\t${safe(address)}\n`,
  );
  return head + lines.join("");
}

function safe(text: string): string {
  return text.replace(/[^ -~]/g, "_");
}

if (import.meta.main) {
  try {
    for (const message of readQueue(`${qmailHome()}/queue`)) {
      if (message.state === "preprocessed") {
        process.stdout.write(Buffer.from(formatQread(message), "latin1"));
      }
    }
  } catch (error) {
    process.stderr.write(`qmail-qread: fatal: ${(error as Error).message}\n`);
    process.exitCode = EXIT.soft;
  }
}
