/** `qmailctl queue import`: what `queue export` has written goes through the queue as new messages. */

import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Control } from "../../qmail/control/control.ts";
import { localQueue } from "../../qmail/queue/local-queue.ts";
import type { QueueDoor } from "../../qmail/queue/qmail.ts";
import { bounceSender, injectBounce, readBounceOptions } from "../../qmail/send/bounce.ts";
import { readVirtualdomains, stripPrepend } from "../../qmail/send/rewrite.ts";
import { systemReason } from "../../qmail/system-reason.ts";
import { CommandError, type Output } from "../output.ts";
import { checkInstalled } from "../supervisor.ts";
import { type ImportedMessage, importedMessages } from "./import-forms.ts";

export interface ImportOptions {
  readonly home: string;
  /** Path of an archive or mbox; null: `input`. */
  readonly file: string | null;
  readonly input: AsyncIterable<Buffer>;
  /** So many messages at the beginning are left out. */
  readonly skip: number;
  /** Only say what there is. */
  readonly dryRun: boolean;
  readonly output: Output;
  /** Where messages go; the queue in `home` by default. */
  readonly queue?: QueueDoor;
}

interface Count {
  messages: number;
  bounces: number;
  /** Had nobody left, and no failure to be told. */
  finished: number;
}

/**
 * Queues each message for the recipients it had left, and the bounce that was begun for it. Each is on disk
 * before the next is read; where it fails the error says how many are. Throws CommandError.
 */
export async function queueImport(options: ImportOptions): Promise<void> {
  const { home, file, skip, output, dryRun } = options;
  checkInstalled(home);
  const count: Count = { messages: 0, bounces: 0, finished: 0 };
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-import-"));
  const messPath = join(directory, "mess");
  let seen = 0;
  try {
    const input = file === null ? options.input : readable(file);
    const enter = entrance(options, messPath);
    for await (const message of importedMessages(input, messPath)) {
      if (seen >= skip) await enter(message, count);
      seen++;
    }
  } catch (error) {
    throw told(error, seen, dryRun);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  output.data({ ...count, skipped: Math.min(skip, seen), dryRun });
  output.note(summary(count, dryRun));
}

function entrance({ home, dryRun, queue = localQueue(home) }: ImportOptions, messPath: string) {
  const control = new Control(home);
  const virtualdomains = readVirtualdomains(control);
  const bounces = readBounceOptions(control);

  async function enterBounce({ label, sender, birth, bounce }: ImportedMessage): Promise<void> {
    const result = await injectBounce(
      queue.open(),
      {
        sender: bounceSender(sender),
        names: { from: bounces.from, host: bounces.host },
        now: Math.floor(Date.now() / 1000),
        birth,
        text: () => [Buffer.from(bounce, "latin1")],
        messPath,
      },
      bounces,
    );
    if (result && !result.ok) {
      throw new CommandError(`cannot queue the bounce of ${label}: ${result.text}`);
    }
  }

  return async (message: ImportedMessage, count: Count): Promise<void> => {
    const { label, sender, bounce } = message;
    // What virtualdomains had put before an address it puts there again.
    const recipients = message.recipients.map(({ address, channel }) =>
      channel === "local" ? stripPrepend(virtualdomains, address) : address,
    );
    if (recipients.length === 0 && bounce === "") count.finished++;
    // First what may come twice at no harm: where the second fails, both are done again.
    if (bounce !== "") {
      if (!dryRun) await enterBounce(message);
      count.bounces++;
    }
    if (recipients.length > 0) {
      if (!dryRun) await enterMessage(queue, { label, path: messPath, sender, recipients });
      count.messages++;
    }
  };
}

async function enterMessage(
  queue: QueueDoor,
  message: { label: string; path: string; sender: string; recipients: readonly string[] },
): Promise<void> {
  const qmail = queue.open();
  try {
    for await (const bytes of createReadStream(message.path)) {
      qmail.put(bytes);
      if (qmail.full) await qmail.drained();
    }
  } catch (error) {
    qmail.abort();
    throw error;
  }
  const result = await qmail.close(message.sender, message.recipients);
  if (!result.ok) throw new CommandError(`cannot queue ${message.label}: ${result.text}`);
}

async function* readable(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new CommandError(`cannot read "${path}": ${systemReason(error)}`, { cause: error });
  }
}

/** What went wrong, and how to go on without queueing any message twice. Faults of ours come back as they are. */
function told(error: unknown, seen: number, dryRun: boolean): unknown {
  const expected = error instanceof CommandError;
  if (!expected && (error as NodeJS.ErrnoException).code === undefined) return error;
  const message = expected
    ? error.message
    : `cannot import message ${seen + 1}: ${systemReason(error)}`;
  const hints = expected ? error.hints : [];
  const done = `the first ${seen} are done: go on behind them with --skip ${seen}`;
  return new CommandError(message, {
    hints: seen === 0 || dryRun ? hints : [...hints, done],
    cause: error,
  });
}

function summary({ messages, bounces, finished }: Count, dryRun: boolean): string {
  const parts = [`${messages} ${messages === 1 ? "message" : "messages"}`];
  if (bounces > 0) parts.push(`${bounces} ${bounces === 1 ? "bounce" : "bounces"} that was begun`);
  if (finished > 0) parts.push(`${finished} with nobody left to deliver to left out`);
  return `${dryRun ? "Would import" : "Imported"} ${parts.join(", ")}.`;
}
