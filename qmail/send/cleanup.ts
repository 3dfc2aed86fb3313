/** Garbage: mess files that belong to no message, left by a crash while a message came in (C qmail: cleanup_*). */

import { statSync } from "node:fs";
import { type MessId, SPLIT } from "../queue/fmtqfn.ts";
import { OSSIFIED_SECONDS } from "../queue/protocol.ts";
import { CHANNELS } from "./log.ts";
import type { QueueFiles } from "./queue-files.ts";

/** Seconds from one cleanup to the next. */
export const SLEEP_CLEANUP = 76_431;

export interface CleanupContext {
  readonly files: QueueFiles;
  readonly now: () => number;
  /** Has qmail-clean remove intd and mess of `id`. */
  cleanMess(id: MessId): Promise<void>;
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
      if (info.has(id) || todo.has(id) || !isGarbage(context, id)) continue;
      files.forget(id);
      await cleanMess(id);
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

function isGarbage({ files, now, busy }: CleanupContext, id: MessId): boolean {
  // Removed a second time, its files would be those of a new message with the same number.
  if (busy(id)) return false;
  try {
    const stat = statSync(files.path("mess", id), { throwIfNoEntry: false });
    if (!stat || now() <= stat.atimeMs / 1000 + OSSIFIED_SECONDS) return false;
    return files.mtime("info", id) === null && files.mtime("todo", id) === null;
  } catch {
    return false;
  }
}
