/** Looking at a queue, and mending it: survey, examine, plan and carryOut put together. */

import { closeSync, constants, fstatSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { within } from "../../files/foreign-directory.ts";
import { LockBusyError, lockExclusive } from "../../files/lock.ts";
import { type Ids, readIds } from "../../ids.ts";
import { carryOut } from "./carry-out.ts";
import { type Examination, examine } from "./examine.ts";
import { plan, type Step } from "./plan.ts";
import { receivedTime } from "./received.ts";
import { resumeSteps } from "./renumber.ts";
import { MUTEX, MUTEX_AWAY, type Survey, survey } from "./survey.ts";

export interface Look extends Examination {
  readonly survey: Survey;
}

/** Looks through the queue of the installation in `home`, changing nothing. Throws when it may not. */
export function lookAtQueue(home: string, now: number, ids: Ids = readIds(home)): Look {
  const found = survey(home);
  const came = (path: string) => receivedTime(join(home, path));
  return { ...examine(found, { ids, now, came }), survey: found };
}

/** The steps that mend what `look` has found; when a killed repair is to be ended first, those of that alone. */
export function repairSteps({ survey: found, faults }: Look): Step[] {
  const { unfinished } = found;
  return unfinished?.phase === "in" ? resumeSteps(unfinished) : plan(found, faults);
}

/** Makes `steps`; `before` is told of each. Throws an Error that says which failed; run again, a repair goes on from there. */
export function makeSteps(
  home: string,
  steps: readonly Step[],
  { ids = readIds(home), before }: { ids?: Ids; before?: (step: Step) => void } = {},
): void {
  for (const step of steps) {
    before?.(step);
    carryOut(home, step, ids);
  }
}

/**
 * Takes the queue from qmail-send: nobody can start one until the result is called. Throws LockBusyError when one
 * runs, ours or C's.
 */
export function takeQueue(home: string): () => void {
  const opened: number[] = [];
  const release = () => opened.forEach(closeSync);
  try {
    // Two, when somebody has made a new one while a repair had put it away.
    for (const path of [MUTEX, MUTEX_AWAY]) {
      const fd = openThere(home, path, constants.O_RDWR);
      if (fd === null) continue;
      opened.push(fd);
      if (!fstatSync(fd).isFile()) throw new Error(`"${path}" is no file`);
      if (!lockExclusive(fd)) throw new LockBusyError("qmail-send is running");
    }
    // One whose mutex was removed.
    if (hasReader(home)) throw new LockBusyError("qmail-send is running");
  } catch (error) {
    release();
    throw error;
  }
  if (opened.length === 2) within(home, MUTEX_AWAY, ({ path }) => unlinkSync(path));
  return release;
}

/** True when somebody reads lock/trigger of the queue in `home`: qmail-send does as long as it runs. */
export function hasReader(home: string): boolean {
  let fd: number | null = null;
  try {
    fd = openThere(home, "queue/lock/trigger", constants.O_WRONLY);
    return fd !== null && fstatSync(fd).isFIFO();
  } catch {
    return false;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** Without following links or waiting; null when nothing is there. */
function openThere(home: string, path: string, access: number): number | null {
  const flags = access | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return within(home, path, (place) => openSync(place.path, flags));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
