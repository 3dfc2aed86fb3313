/**
 * `qmailctl log trace`: one message from connection to last delivery, with the bounces and forwards that
 * came of it, by message number, qp, Message-ID, address, login or client.
 *
 * The log is read again until no relative is new: who belongs together is said in lines far apart and in
 * files of their own. A Message-ID stands in the lines of the doors, and in the messages still queued.
 */

import { latin1, StampReader } from "../../qmail/log/stamp.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { printable } from "../printable.ts";
import { LineCutter } from "./analysis/read.ts";
import { findSources, type SourceOptions } from "./sources.ts";
import { queuedById } from "./trace/queued.ts";
import { join, Tracer } from "./trace/tracer.ts";
import { Wanted } from "./trace/wanted.ts";

const ROUNDS_MAX = 10;

export interface TraceOptions extends SourceOptions {
  readonly what: string;
  readonly output: Output;
}

/** Shows everything about the messages that `what` names. */
export async function logTrace(options: TraceOptions): Promise<void> {
  const { what, output } = options;
  if (what === "") {
    throw new UsageError("log trace needs a message", [
      "its number, its qp, its Message-ID, an address, a login, or a client's address",
    ]);
  }
  const groups = await findGroups(options);
  if (groups.length === 0) throw notFound(what);
  output.data(groups);
  for (const { id, qp, lines } of groups) {
    if (id === null) output.line("no message was queued");
    else
      output.line(qp === null ? `message ${id}, older than this log` : `message ${id}, qp ${qp}`);
    for (const { time, text } of lines) output.line(`  ${stamp(time)} ${printable(text)}`);
  }
}

async function findGroups(options: TraceOptions): Promise<ReturnType<typeof join>> {
  const { what, home, files, journal } = options;
  const wanted = new Wanted(what);
  const groups = await search(options, wanted);
  // Only a message of this home's queue may have its number: other logs are of other queues.
  if (groups.length > 0 || !what.includes("@") || files.length > 0 || journal !== undefined)
    return groups;
  const ids = queuedById(home, what);
  for (const id of ids) wanted.addId(id);
  return ids.length > 0 ? search(options, wanted) : groups;
}

async function search(options: TraceOptions, wanted: Wanted): Promise<ReturnType<typeof join>> {
  for (let round = 1; ; round++) {
    const { found, visits } = await read(options, wanted);
    const news = wanted.addRelatives(found, visits);
    if (!news || round === ROUNDS_MAX) return join(found, visits);
  }
}

async function read(options: SourceOptions, wanted: Wanted) {
  const tracer = new Tracer(wanted);
  const stampReader = new StampReader(Date.now());
  const cutter = new LineCutter((bytes, from, to) => {
    stampReader.read(bytes, from, to);
    tracer.line(stampReader.ms, latin1(bytes, stampReader.at, to), stampReader.tag);
  });
  for (const source of findSources(options)) {
    for await (const chunk of source.open()) cutter.push(chunk);
    cutter.end();
  }
  return tracer.end();
}

function notFound(what: string): CommandError {
  const hints = ["name older logs with --file", "see: qmailctl log report senders"];
  if (!what.includes("@"))
    return new CommandError(`there is no message "${what}" in this log`, { hints });
  return new CommandError(`there is no message "${what}" in this log, nor one of that Message-ID`, {
    hints: [
      "qmail-send's log has no Message-ID, and a C qmail's has none anywhere: it is known from the lines of our doors, and of messages still queued",
      ...hints,
    ],
  });
}

function stamp(ms: number): string {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().replace("T", " ").slice(0, 23);
}
