/** `qmailctl queue export`: messages as mbox, as files, or with everything that the queue knows of them. */

import { closeSync, mkdirSync, openSync, unlinkSync, writeSync } from "node:fs";
import { EXIT } from "../../qmail/exit.ts";
import { systemReason } from "../../qmail/system-reason.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { emlFile, mboxEntry, tarEnd, tarEntries } from "./export-forms.ts";
import { Oddities } from "./oddities.ts";
import { type OpenMessage, openMessage } from "./open-message.ts";
import { closed, passing, selectMessages } from "./select.ts";
import type { Selection } from "./selection.ts";

export interface ExportOptions {
  readonly home: string;
  readonly selection: Selection;
  /** mbox, tar or eml. */
  readonly format: string;
  /** A file that is not there yet, for eml a directory; null: standard output. */
  readonly file: string | null;
  readonly output: Output;
}

const FORMATS = ["mbox", "tar", "eml"];

/** Writes the selected messages of the queue in `home`; the queue stays as it is. */
export async function queueExport(options: ExportOptions): Promise<void> {
  const { format, file, output } = options;
  if (!FORMATS.includes(format)) {
    throw new UsageError(`there is no format "${format}"`, [`there is: ${FORMATS.join(", ")}`]);
  }
  if (format === "eml" && file === null) {
    throw new UsageError("--format eml writes a file a message: say where", ["--output DIR"]);
  }
  if (file === null && output.json) {
    throw new UsageError("--json tells of the export, which then needs a place of its own", [
      "--output FILE",
    ]);
  }
  const count = format === "eml" ? await exportFiles(options) : await exportStream(options);
  output.data({ messages: count, format, file });
  output.note(count === 1 ? "1 message exported." : `${count} messages exported.`);
}

/** Where bytes go. */
type Write = (bytes: Buffer) => Promise<void>;

async function exportStream(options: ExportOptions): Promise<number> {
  const { format, file } = options;
  const messages = opened(options);
  if (file === null) return stream(messages, format, writeStdout);
  const fd = create(file);
  try {
    return await stream(messages, format, async (bytes) => writeAll(fd, bytes, file));
  } catch (error) {
    // Half an archive looks like a whole one.
    unlinkSync(file);
    throw error;
  } finally {
    closeSync(fd);
  }
}

async function stream(
  messages: Iterable<OpenMessage>,
  format: string,
  write: Write,
): Promise<number> {
  let count = 0;
  for (const message of messages) {
    const pieces = format === "tar" ? tarEntries(message) : mboxEntry(message);
    for (const bytes of pieces) await write(bytes);
    count++;
  }
  if (format === "tar") await write(tarEnd());
  return count;
}

async function exportFiles(options: ExportOptions): Promise<number> {
  const directory = options.file as string;
  let count = 0;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw written(directory, error);
  }
  for (const message of opened(options)) {
    const path = `${directory}/${message.id}.eml`;
    const fd = create(path);
    try {
      for (const bytes of emlFile(message)) writeAll(fd, bytes, path);
    } catch (error) {
      unlinkSync(path);
      throw error;
    } finally {
      closeSync(fd);
    }
    count++;
  }
  return count;
}

/** The selected messages, each open while it is used; those that have just gone are left out. */
function* opened({ home, selection, output }: ExportOptions): Generator<OpenMessage> {
  const oddities = new Oddities();
  const { add: odd } = oddities;
  const queue = `${home}/queue`;
  for (const selected of selectMessages(home, selection, { now: Date.now(), odd })) {
    let message: OpenMessage | null;
    try {
      const read = () => openMessage(queue, selected);
      message = passing(queue, selected.id, { odd, read });
    } catch (error) {
      throw closed(error);
    }
    if (!message) continue;
    try {
      yield message;
    } finally {
      closeSync(message.fd);
    }
  }
  // A backup that is not whole must not look so to a script.
  if (oddities.tell(output)) process.exitCode = EXIT.soft;
}

function create(path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch (error) {
    throw written(path, error);
  }
}

function written(path: string, error: unknown): CommandError {
  const { code } = error as NodeJS.ErrnoException;
  const hints = code === "EEXIST" ? ["nothing is overwritten: name another, or remove it"] : [];
  return new CommandError(`cannot write "${path}": ${systemReason(error)}`, {
    hints,
    cause: error,
  });
}

function writeAll(fd: number, bytes: Buffer, path: string): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch (error) {
    throw written(path, error);
  }
}

function writeStdout(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // The memory is used again for what comes next.
    process.stdout.write(Buffer.from(bytes), (error) => (error ? reject(error) : resolve()));
  });
}
