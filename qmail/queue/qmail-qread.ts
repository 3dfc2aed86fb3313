/** qmail-qread: the messages in the queue that have recipients left (qmail-qread(8)). */

import { accessSync, constants } from "node:fs";
import { date822 } from "../date822.ts";
import { EXIT } from "../exit.ts";
import { qmailHome } from "../home.ts";
import { systemReason } from "../system-reason.ts";
import type { MessId } from "./fmtqfn.ts";
import { type Odd, type QueuedMessage, readPreprocessed, type Vanished } from "./queue-read.ts";

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

/** So much is written at once. */
const OUTPUT = 64 * 1024;

/**
 * What qmail-qread prints for the installation in `home`, in pieces; trouble too is said there, as C's
 * does, so that who parses the list sees that it is not whole. Returns the exit code.
 */
export function* qread(home: string): Generator<string, number> {
  let text = "";
  try {
    accessSync(`${home}/queue`, constants.X_OK);
    for (const message of readPreprocessed(`${home}/queue`)) {
      text += formatAny(message);
      if (text.length < OUTPUT) continue;
      yield text;
      text = "";
    }
    yield text;
    return EXIT.ok;
  } catch (error) {
    yield text + formatFatal(error, `${home}/queue`);
    return EXIT.soft;
  }
}

/** As C's, which goes into the queue and then opens one directory after the other. */
function formatFatal(error: unknown, queue: string): string {
  const { path = "", syscall } = error as NodeJS.ErrnoException;
  const what = syscall === "access" ? "chdir" : `opendir ${path.slice(queue.length + 1)}`;
  return `fatal: unable to ${what}: ${systemReason(error)}\n`;
}

function formatAny(message: QueuedMessage | Vanished | Odd): string {
  const { id, state } = message;
  if (state === "vanished") return formatTrouble(id, "file does not exist");
  return state === "odd" ? formatTrouble(id, message.reason) : formatQread(message);
}

function formatTrouble(id: MessId, why: string): string {
  return `warning: trouble with #${id}: ${why}\n`;
}

if (import.meta.main) {
  const lines = qread(qmailHome());
  for (let step = lines.next(); ; step = lines.next()) {
    if (step.done) {
      process.exitCode = step.value;
      break;
    }
    process.stdout.write(Buffer.from(step.value, "latin1"));
  }
}
