/** Garbage: mess files that belong to no message, left by a crash while a message came in (C qmail: cleanup_*). */

import { lstatSync } from "node:fs";
import { type MessId, SPLIT } from "../queue/fmtqfn.ts";
import { madeOf } from "../queue/made.ts";
import { type MessageName, OSSIFIED_SECONDS } from "../queue/protocol.ts";
import { CHANNELS } from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";

/** Seconds from one cleanup to the next. */
export const SLEEP_CLEANUP = 76_431;

export interface CleanupContext {
  readonly files: QueueFiles;
  readonly now: () => number;
  /** Has qmail-clean remove intd and mess of the message. */
  cleanMess(message: MessageName): Promise<unknown>;
  /** True while the message is being ended, files of it are removed, or an action is on it. */
  busy(id: MessId): boolean;
  /** Waits after the directory could not be read. */
  pause(directory: string): Promise<void>;
  active(): boolean;
}

/** Goes once through mess/, removing what is old and has neither info nor todo. */
export async function cleanup(context: CleanupContext): Promise<void> {
  const { files, pause, active, cleanMess } = context;
  const todo = new Set(await files.ids("todo", pause));
  for (let split = 0; split < SPLIT; split++) {
    const info = new Set(await files.ids(`info/${split}`, pause));
    for (const id of await files.ids(`mess/${split}`, pause)) {
      if (!active()) return;
      // Names alone tell of most that they are no garbage.
      if (info.has(id) || todo.has(id)) continue;
      const made = garbage(context, id);
      if (made === null) continue;
      files.forget(id);
      await cleanMess({ id, made });
    }
    for (const directory of ["info", "local", "remote"]) {
      removeOrphans(context, await files.ids(`${directory}/${split}`, pause));
    }
    for (const channel of CHANNELS) removeUnfinished(context, `${channel}/${split}`);
    // Others have their turn: a directory can be large.
    await new Promise(setImmediate);
  }
  removeOrphans(context, await files.ids("bounce", pause));
}

/** A message ends with its mess file: what a power cut brought back of it goes. */
function removeOrphans({ files }: CleanupContext, ids: readonly MessId[]): void {
  for (const id of ids) {
    try {
      if (files.mtime("mess", id) === null && files.mtime("todo", id) === null) files.forget(id);
    } catch {
      // Tomorrow again.
    }
  }
}

/** What a crash left of an action. */
function removeUnfinished({ files, busy }: CleanupContext, directory: string): void {
  try {
    files.removeUnfinished(directory, busy);
  } catch {
    // Tomorrow again.
  }
}

/** MADE of a message that is garbage; null for any other. One that only the clock has made old the queue server keeps. */
function garbage({ files, now, busy }: CleanupContext, id: MessId): number | null {
  if (busy(id)) return null;
  try {
    const stat = lstatSync(files.path("mess", id), { throwIfNoEntry: false });
    if (!stat?.isFile() || now() <= stat.atimeMs / 1000 + OSSIFIED_SECONDS) return null;
    if (files.mtime("info", id) !== null || files.mtime("todo", id) !== null) return null;
    return madeOf(stat);
  } catch {
    return null;
  }
}
