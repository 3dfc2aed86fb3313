/** What is wrong with a queue, by the law of INTERNALS.md. Pure. */

import type { HierEntry } from "../../hier.ts";
import type { Ids, QmailUser } from "../../ids.ts";
import { DROP_DIRECTORY, OSSIFIED_SECONDS } from "../protocol.ts";
import { collect, filesOf, isMisplaced, type Message, placeOf } from "./messages.ts";
import {
  type Access,
  type Found,
  type Kind,
  MUTEX,
  QUEUE_HIER,
  type QueueFile,
  type Survey,
} from "./survey.ts";

/** Something that no program of the mail system would leave, and that none of them mends. */
export type Fault =
  | { readonly fault: "interrupted" }
  /** A directory or a file of lock/ is not there, or something else is. */
  | { readonly fault: "missing"; readonly path: string; readonly entry: HierEntry }
  | {
      readonly fault: "type";
      readonly path: string;
      readonly entry: HierEntry;
      readonly found: Found;
    }
  | {
      readonly fault: "access";
      readonly path: string;
      readonly found: Access & { readonly ino: string };
      readonly wanted: Access;
    }
  | {
      readonly fault: "size";
      readonly path: string;
      readonly found: number;
      readonly wanted: number;
    }
  | { readonly fault: "stray"; readonly path: string; readonly found: Found | QueueFile }
  /** A numbered directory of another split; `files` is how many messages' files lie in it. */
  | { readonly fault: "split"; readonly path: string; readonly files: number }
  /** A name that is not the inode number, or a file in the wrong directory. `files` are all of the message: they stay together. */
  | {
      readonly fault: "place";
      readonly message: Message;
      readonly files: readonly QueueFile[];
      /** Under its old name it was held. */
      readonly held: boolean;
    }
  /** The time of info, which is when the message came, is that of a copy. */
  | {
      readonly fault: "birth";
      readonly path: string;
      readonly info: QueueFile;
      readonly came: number;
    }
  /** A message that cannot be delivered as it is. */
  | { readonly fault: "broken"; readonly why: string; readonly files: readonly QueueFile[] };

/** What crashes leave and the daemons remove by themselves. */
export interface Leftovers {
  /** mess files without todo and info: being written, or garbage; and how many of them are older than 36 hours. */
  readonly unfinished: number;
  readonly old: number;
  /** info, local, remote, bounce, intd and todo files whose message is gone. */
  readonly orphans: readonly string[];
  /** Files in pid/, and such as qmail-send was writing. */
  readonly nameless: number;
}

export interface Examination {
  readonly faults: readonly Fault[];
  readonly leftovers: Leftovers;
  /** Messages that have been accepted and are not done. */
  readonly messages: number;
}

export interface ExamineContext {
  readonly ids: Ids;
  /** Seconds since 1970. */
  readonly now: number;
  /** When the mess file at this path says that it was queued, in seconds since 1970. */
  came(path: string): number | null;
}

/** Who a file of each kind belongs to, and its mode (C qmail: qmail-queue and qmail-send make them so). */
const OWNERS: Readonly<Record<Kind, readonly [QmailUser, number]>> = {
  mess: ["qmailq", 0o644],
  intd: ["qmailq", 0o644],
  todo: ["qmailq", 0o644],
  info: ["qmails", 0o600],
  local: ["qmails", 0o600],
  remote: ["qmails", 0o600],
  bounce: ["qmails", 0o600],
};

/** Judges what a survey has found. */
export function examine(survey: Survey, context: ExamineContext): Examination {
  const layout = [...layoutFaults(survey, context.ids)];
  // What lies behind a link, or is half in its place, cannot be judged.
  if (layout.some(isUnmendable)) return { ...NOTHING, faults: layout };
  if (survey.unfinished?.phase === "in") return { ...NOTHING, faults: [{ fault: "interrupted" }] };
  const { messages, orphans, doubles, mixed } = collect(survey);
  const taken = new Set(messages.filter(isMisplaced).map(({ id }) => id));
  // Where it lies no program looks for it, or it would be taken for a part of the message that gets its number.
  const isStray = ({ kind, name, path }: QueueFile) =>
    path !== placeOf(kind, name) || taken.has(name);
  const faults: Fault[] = [];
  if (survey.unfinished) faults.push({ fault: "interrupted" });
  faults.push(...layout, ...dropFaults(survey, context.ids));
  for (const found of [...survey.strays, ...doubles, ...orphans.filter(isStray)]) {
    faults.push({ fault: "stray", path: found.path, found });
  }
  for (const { path } of survey.extra) {
    faults.push({ fault: "split", path, files: inside(survey, path) });
  }
  for (const files of mixed) faults.push({ fault: "broken", why: MIXED, files });
  for (const message of messages) faults.push(...messageFaults(message, survey, context));
  const unfinished = messages.filter((message) => state(message) === "unfinished");
  return {
    faults,
    messages: messages.length - unfinished.length,
    leftovers: {
      unfinished: unfinished.length,
      old: unfinished.filter(({ mess }) => mess.read + OSSIFIED_SECONDS < context.now).length,
      orphans: orphans.filter((file) => !isStray(file)).map(({ path }) => path),
      nameless: survey.nameless.length,
    },
  };
}

const NOTHING = {
  messages: 0,
  leftovers: { unfinished: 0, old: 0, orphans: [], nameless: 0 },
} satisfies Omit<Examination, "faults">;

/** A link in the place of a directory: to put an empty one there would hide all that is behind it. */
export function isUnmendable(fault: Fault): boolean {
  return fault.fault === "type" && fault.found.type === "link";
}

const MIXED = "it cannot be said which of its files belong together";

function inside({ files }: Survey, directory: string): number {
  return files.filter(({ path }) => path.startsWith(`${directory}/`)).length;
}

/** Of another group they would not be taken in, but removed after 36 hours. */
function* dropFaults({ drops }: Survey, { sandbox, gid }: Ids): Generator<Fault> {
  for (const found of drops) {
    if (sandbox || found.gid === gid.qmail) continue;
    const { uid, mode } = found;
    yield { fault: "access", path: found.path, found, wanted: { uid, gid: gid.qmail, mode } };
  }
}

function* layoutFaults({ layout, unfinished, ours }: Survey, ids: Ids): Generator<Fault> {
  for (const entry of QUEUE_HIER) {
    const { path } = entry;
    if (path === DROP_DIRECTORY && !ours) continue;
    const found = layout.get(path);
    const wanted = {
      uid: entry.owner === "root" ? ids.owner : ids.uid[entry.owner],
      gid: ids.gid[entry.group],
      mode: entry.mode,
    };
    if (!found && path === MUTEX && unfinished?.mutex) continue;
    if (!found) yield { fault: "missing", path, entry };
    else if (found.type !== entry.type) yield { fault: "type", path, entry, found };
    else {
      const { uid, gid, mode } = found;
      if (uid !== wanted.uid || gid !== wanted.gid || mode !== wanted.mode) {
        yield { fault: "access", path, found, wanted };
      }
      // A mutex has no content; the table of hosts has its size.
      if (entry.size && found.size !== entry.size) {
        yield { fault: "size", path, found: found.size, wanted: entry.size };
      }
    }
  }
}

function* messageFaults(
  message: Message,
  { held }: Survey,
  context: ExamineContext,
): Generator<Fault> {
  const files = filesOf(message);
  const why = brokenness(message);
  if (why !== null) {
    yield { fault: "broken", why, files };
    return;
  }
  for (const file of files) {
    const [user, mode] = OWNERS[file.kind];
    const { uid, gid } = { uid: context.ids.uid[user], gid: context.ids.gid.qmail };
    // The group is that of whoever started a C qmail-queue.
    if (file.uid === uid && file.mode === mode) continue;
    yield { fault: "access", path: file.path, found: file, wanted: { uid, gid, mode } };
  }
  if (!isMisplaced(message)) return;
  const info = message.parts.info;
  const came = info && isTimeOfCopy(info) ? context.came(message.mess.path) : null;
  if (info && came !== null && came < info.changed) {
    yield { fault: "birth", path: info.path, info, came };
  }
  yield { fault: "place", message, files, held: isHeld(message.mess, held) };
}

/** A copy that keeps times has an older one than its own making. Not all filesystems note that: then nobody can tell. */
function isTimeOfCopy({ changed, made }: QueueFile): boolean {
  return made > 0 && changed >= made;
}

/** Of a copy that lost the times the name must do: to hold one message too many can be taken back. */
function isHeld(mess: QueueFile, held: Survey["held"]): boolean {
  const made = held.get(mess.name);
  return made !== undefined && (made === mess.changedUs || isTimeOfCopy(mess));
}

function state({ parts }: Message): "queued" | "preprocessed" | "unfinished" | "headless" {
  if (parts.todo) return "queued";
  if (parts.info) return "preprocessed";
  const left = (["local", "remote", "bounce"] as const).some((kind) => parts[kind] !== undefined);
  return left ? "headless" : "unfinished";
}

/** Why the message cannot be delivered; null when it can, or need not be. */
function brokenness(message: Message): string | null {
  const { mess, parts } = message;
  switch (state(message)) {
    case "unfinished":
      return null;
    case "headless":
      return "its sender is lost: there is no info file";
    case "queued":
      // What qmail-send has written so far does not count.
      if (parts.todo?.whole === false) return "its envelope cannot be read (todo)";
      break;
    case "preprocessed":
      if (parts.info?.whole === false) return "its sender is lost: info cannot be read";
      for (const channel of ["local", "remote"] as const) {
        if (parts[channel]?.whole === false) {
          return `recipients are lost: ${channel} is cut off`;
        }
      }
  }
  return mess.whole ? null : "its text is lost: the mess file is empty";
}
