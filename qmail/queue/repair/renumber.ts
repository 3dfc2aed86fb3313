/**
 * Gives messages the names that they should have: the inode numbers of their mess files, in the directories of this split.
 * Pure.
 *
 * A new name may be another message's old one, so nothing is renamed in place. First all files are collected in
 * repair/out under their new names, which nobody else can have; then repair/out becomes repair/in, which
 * says that all are collected; then they go to their places. Of a message the mess file moves last, both times: it
 * says what the new name is. So a repair that was killed finds at any moment which files belong together.
 *
 * All the while lock/sendmutex is away, and no qmail-send, ours or C's, can start: it would take for garbage what is
 * in between.
 *
 * The mess files wait for a sync of the others: there are filesystems that keep no order in a power cut.
 */

import type { Fault } from "./examine.ts";
import { placeOf } from "./messages.ts";
import type { Step } from "./plan.ts";
import {
  KINDS,
  MUTEX,
  MUTEX_AWAY,
  type QueueFile,
  REPAIR,
  type Survey,
  type Unfinished,
} from "./survey.ts";

const OUT = `${REPAIR}/out`;
const IN = `${REPAIR}/in`;

/** The steps for all faults of place, for the directories of another split, and for what a killed repair has collected. */
export function renumberSteps(survey: Survey, faults: readonly Fault[]): Step[] {
  const wrong = faults.flatMap((fault) => (fault.fault === "place" ? renamed(fault) : []));
  const empty = faults.flatMap((fault) => (fault.fault === "split" ? [fault.path] : []));
  if (wrong.length === 0 && empty.length === 0 && !survey.unfinished) return [];
  return [
    ...beginSteps(survey.unfinished?.mutex === true),
    ...[OUT, ...KINDS.map((kind) => `${OUT}/${kind}`)].map(mkdir),
    ...moves(wrong, (file) => staged(OUT, file)),
    move(OUT, IN),
    ...syncs([REPAIR]),
    ...finishSteps(wrong.map((file) => ({ ...file, path: staged(IN, file) }))),
    ...empty.map(rmdir),
    ...endSteps(),
  ];
}

/** The rest of the steps for a repair that was killed when all was collected. */
export function resumeSteps({ files, mutex }: Unfinished): Step[] {
  return [...beginSteps(mutex), ...finishSteps(files), ...endSteps()];
}

/** A file with its new name. */
type Renamed = Pick<QueueFile, "kind" | "path" | "name">;

function renamed({ message, files }: Extract<Fault, { fault: "place" }>): Renamed[] {
  return files.map(({ kind, path }) => ({ kind, path, name: message.id }));
}

function staged(directory: string, { kind, name }: Renamed): string {
  return `${directory}/${kind}/${name}`;
}

function finishSteps(files: readonly Renamed[]): Step[] {
  return [
    ...moves(files, ({ kind, name }) => placeOf(kind, name)),
    ...KINDS.map((kind) => rmdir(`${IN}/${kind}`)),
    rmdir(IN),
  ];
}

function beginSteps(mutexIsAway: boolean): Step[] {
  return [
    mkdir(REPAIR),
    ...(mutexIsAway ? [] : [move(MUTEX, MUTEX_AWAY)]),
    ...syncs(["queue", REPAIR, "queue/lock"]),
  ];
}

function endSteps(): Step[] {
  return [move(MUTEX_AWAY, MUTEX), ...syncs(["queue/lock"]), rmdir(REPAIR)];
}

/** Moves `files`, the mess files last. */
function moves(files: readonly Renamed[], to: (file: Renamed) => string): Step[] {
  const halves = [
    files.filter(({ kind }) => kind !== "mess"),
    files.filter(({ kind }) => kind === "mess"),
  ];
  return halves.flatMap((half) => {
    const pairs = half
      .map((file) => [file.path, to(file)] as const)
      .filter(([from, place]) => from !== place);
    const touched = new Set(pairs.flat().map((path) => path.slice(0, path.lastIndexOf("/"))));
    return [...pairs.map(([from, place]) => move(from, place)), ...syncs([...touched])];
  });
}

function move(path: string, to: string): Step {
  return { step: "move", path, to };
}

function mkdir(path: string): Step {
  return { step: "mkdir", path };
}

function rmdir(path: string): Step {
  return { step: "rmdir", path };
}

function syncs(paths: readonly string[]): Step[] {
  return paths.map((path) => ({ step: "sync", path }));
}
