/** Looking at a queue, and mending it: survey, examine, plan and carryOut put together. */

import { closeSync, constants, existsSync, lstatSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
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
      if (!existsSync(join(home, path))) continue;
      const fd = openSync(join(home, path), "r+");
      opened.push(fd);
      if (!lockExclusive(fd)) throw new LockBusyError("qmail-send is running");
    }
    // One whose mutex was removed.
    if (hasReader(join(home, "queue/lock/trigger")))
      throw new LockBusyError("qmail-send is running");
  } catch (error) {
    release();
    throw error;
  }
  if (opened.length === 2) rmSync(join(home, MUTEX_AWAY));
  return release;
}

/** True when somebody reads the FIFO `path`: qmail-send does as long as it runs. */
export function hasReader(path: string): boolean {
  try {
    if (!lstatSync(path).isFIFO()) return false;
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}
