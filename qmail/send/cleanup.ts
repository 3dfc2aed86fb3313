/** Garbage: mess files that belong to no message, left by a crash while a message came in (C qmail: cleanup_*). */

import { type Dirent, statSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { isMessId, type MessId, SPLIT } from "../queue/fmtqfn.ts";
import { OSSIFIED_SECONDS } from "../queue/protocol.ts";
import type { QueueFiles } from "./queue-files.ts";

/** Seconds from one cleanup to the next. */
export const SLEEP_CLEANUP = 76_431;

export interface CleanupContext {
  readonly queue: string;
  readonly files: QueueFiles;
  readonly now: () => number;
  /** Has qmail-clean remove intd and mess of `id`. */
  cleanMess(id: MessId): Promise<void>;
  active(): boolean;
}

/** Goes once through mess/, removing what is old and has neither info nor todo. */
export async function cleanup(context: CleanupContext): Promise<void> {
  for (let split = 0; split < SPLIT; split++) {
    for await (const entry of await opendir(`${context.queue}/mess/${split}`)) {
      if (!context.active()) return;
      if (isGarbage(context, entry)) await context.cleanMess(entry.name);
    }
  }
}

function isGarbage({ files, now }: CleanupContext, { name }: Dirent): boolean {
  if (!isMessId(name)) return false;
  try {
    const stat = statSync(files.path("mess", name), { throwIfNoEntry: false });
    if (!stat || now() <= stat.atimeMs / 1000 + OSSIFIED_SECONDS) return false;
    return files.mtime("info", name) === null && files.mtime("todo", name) === null;
  } catch {
    return false;
  }
}
