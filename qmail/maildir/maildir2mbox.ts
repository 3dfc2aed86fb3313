/**
 * maildir2mbox(1): moves the messages of $MAILDIR to the end of the mbox $MAIL, by way of $MAILTMP: the mbox
 * is the old one or has them all, and only then do they leave the Maildir.
 */

import {
  closeSync,
  createReadStream,
  fsyncSync,
  openSync,
  type ReadStream,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { type ByteEnv, programEnv } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import { DotLock } from "../files/dotlock.ts";
import { NoFileError, openFile } from "../files/foreign-directory.ts";
import { lockWaiting } from "../files/lock.ts";
import { exitWith, type Outcome, toText } from "../inject/context.ts";
import { fromLine } from "../local/environment.ts";
import { systemText } from "../local/failure.ts";
import { FromQuoter } from "../local/from-quoter.ts";
import { thisMachine } from "../supervise/machine.ts";
import { cleanTmp, type MaildirEntry, scanMaildir } from "./maildir.ts";

const LOCK_SECONDS = 300;
/** A first line longer than this is no Return-Path that could be used. */
const RETURN_PATH_MAX = 2048;

/** What went wrong, as it is said. */
class Trouble extends Error {}

interface Names {
  readonly maildir: string;
  readonly mbox: string;
  readonly temporary: string;
}

/** Runs maildir2mbox; `warn` gets lines about messages that will come twice. */
export async function maildir2mbox(
  env: ByteEnv,
  { now, warn }: { now: number; warn: (line: string) => void },
): Promise<Outcome> {
  try {
    await move(namesIn(env), { now, warn });
    return { code: EXIT.ok, message: "" };
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    return { code: EXIT.soft, message: error.message };
  }
}

function namesIn(env: ByteEnv): Names {
  const need = (name: string) => {
    const value = env[name];
    if (value === undefined) throw new Trouble(`${name} not set`);
    return value;
  };
  return { mbox: need("MAIL"), temporary: need("MAILTMP"), maildir: need("MAILDIR") };
}

async function move(
  names: Names,
  { now, warn }: { now: number; warn: (line: string) => void },
): Promise<void> {
  const { maildir, mbox, temporary } = names;
  cleanTmp(maildir, now);
  const entries = attempt("unable to scan $MAILDIR", () =>
    scanMaildir(maildir, ["new", "cur"], now),
  );
  if (entries.length === 0) return;
  const fd = attempt(`unable to lock ${mbox}`, () => openSync(fsPath(mbox), "a", 0o600));
  let lock: DotLock | null = null;
  let moved: readonly MaildirEntry[] = [];
  try {
    lock = await attempt(`unable to lock ${mbox}`, () =>
      DotLock.take(mbox, {
        machine: thisMachine(),
        signal: AbortSignal.timeout(LOCK_SECONDS * 1000),
      }),
    );
    await attempt(`unable to lock ${mbox}`, () => lockWaiting(fd, LOCK_SECONDS));
    moved = await writeAll(names, entries, warn);
    attempt(`unable to move ${temporary} to ${mbox}`, () =>
      renameSync(fsPath(temporary), fsPath(mbox)),
    );
  } finally {
    lock?.release();
    closeSync(fd);
  }
  for (const { name } of moved) {
    try {
      unlinkSync(fsPath(`${maildir}/${name}`));
    } catch (error) {
      const why = systemText(error);
      warn(`$MAILDIR/${shown(name)} will be delivered twice; unable to unlink: ${why}`);
    }
  }
}

/** The old mbox and the messages, in $MAILTMP, on the disk. Resolves with those of `entries` that could be opened. */
async function writeAll(
  names: Names,
  entries: readonly MaildirEntry[],
  warn: (line: string) => void,
): Promise<MaildirEntry[]> {
  const { maildir, mbox, temporary } = names;
  const fd = attempt(`unable to create ${temporary}`, () =>
    openSync(fsPath(temporary), "w", 0o600),
  );
  const write = (bytes: Buffer) =>
    attempt(`unable to write to ${temporary}`, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    });
  try {
    const old = createReadStream(fsPath(mbox));
    let end = "\n\n";
    for await (const chunk of contents(old, mbox)) {
      write(chunk);
      end = (end + chunk.toString("latin1", Math.max(0, chunk.length - 2))).slice(-2);
    }
    write(Buffer.from(lineEnds(end)));
    const moved: MaildirEntry[] = [];
    for (const entry of entries) {
      const name = `$MAILDIR/${shown(entry.name)}`;
      const file = openMessage(`${maildir}/${entry.name}`, (why) =>
        warn(`${name} stays where it is: ${why}`),
      );
      if (file === null) continue;
      const message = contents(file, name);
      for await (const part of asMbox(message, Math.floor(entry.time / 1000))) write(part);
      moved.push(entry);
    }
    attempt(`unable to write to ${temporary}`, () => fsyncSync(fd));
    return moved;
  } finally {
    closeSync(fd);
  }
}

/**
 * What an mbox that ends in the two bytes `end` lacks: behind anything but an empty line From_ begins no message, and readers would
 * not see what is added.
 */
function lineEnds(end: string): string {
  if (!end.endsWith("\n")) return "\n\n";
  return end === "\n\n" ? "" : "\n";
}

/** Null for what another reader has taken, and for what cannot be opened, of which `closed` is told. */
function openMessage(path: string, closed: (why: string) => void): ReadStream | null {
  try {
    const { fd } = openFile(path);
    return createReadStream("", { fd });
  } catch (error) {
    if (error instanceof NoFileError) closed(error.reason);
    else if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      throw new Trouble(`unable to read ${shown(path)}: ${systemText(error)}`);
    return null;
  }
}

/** A name that somebody else may have made, for a terminal. */
function shown(name: string): string {
  return name.replace(/[^ -~]/g, "?");
}

async function* contents(stream: ReadStream, name: string): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    throw new Trouble(`unable to read ${name}: ${systemText(error)}`);
  }
}

/** A message of a Maildir as it stands in an mbox: its From_ line is made from its Return-Path. */
export async function* asMbox(
  message: AsyncIterable<Buffer>,
  seconds: number,
): AsyncGenerator<Buffer> {
  const quote = new FromQuoter();
  let start: Buffer | null = Buffer.alloc(0);
  const begin = (bytes: Buffer) => [
    Buffer.from(
      fromLine(senderOf(bytes.toString("latin1", 0, RETURN_PATH_MAX)), seconds),
      "latin1",
    ),
    ...quote.push(bytes),
  ];
  for await (const chunk of message) {
    if (start === null) {
      yield* quote.push(chunk);
      continue;
    }
    start = Buffer.concat([start, chunk]);
    if (!start.includes("\n") && start.length < RETURN_PATH_MAX) continue;
    yield* begin(start);
    start = null;
  }
  if (start !== null) yield* begin(start);
  yield* quote.end();
}

/** The envelope sender that the first line of a message tells; "XXX" when it does not. */
function senderOf(text: string): string {
  const sender = /^Return-Path: <([^\n]*)>\n/.exec(text)?.[1];
  return sender ?? "XXX";
}

function attempt<T>(what: string, action: () => T): T {
  const trouble = (error: unknown) => new Trouble(`${what}: ${systemText(error)}`);
  try {
    const result = action();
    if (!(result instanceof Promise)) return result;
    return result.catch((error) => Promise.reject(trouble(error))) as T;
  } catch (error) {
    throw trouble(error);
  }
}

if (import.meta.main) {
  process.umask(0o077);
  const warn = (line: string) => process.stderr.write(`maildir2mbox: warning: ${toText(line)}\n`);
  exitWith("maildir2mbox", await maildir2mbox(programEnv(), { now: Date.now(), warn }));
}
