/** Makes the steps of a plan, each in directories of users whom root does not obey (files/foreign-directory.ts). */

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { asUser } from "../../files/as-user.ts";
import { syncDirectory } from "../../files/atomic.ts";
import { makeFifo, type Place, setAccess, within } from "../../files/foreign-directory.ts";
import type { HierEntry } from "../../hier.ts";
import type { Ids } from "../../ids.ts";
import { messIdOf } from "../fmtqfn.ts";
import { HeldFile } from "../held.ts";
import type { Step } from "./plan.ts";
import type { Access } from "./survey.ts";

/** Makes `step` in the qmail home `home`. Throws an Error that says which step failed, and why. */
export function carryOut(home: string, step: Step, ids: Ids): void {
  try {
    within(home, step.path, (place) => act(home, { step, place }, ids));
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`cannot ${WORDS[step.step]} "${step.path}": ${message}`, { cause: error });
  }
}

function act(home: string, { step, place }: { step: Step; place: Place }, ids: Ids): void {
  const { path } = place;
  switch (step.step) {
    case "make":
      make(place, step.entry, ids);
      break;
    case "access":
      giveAccess(home, step, place);
      break;
    case "resize":
      changeOpen(path, constants.O_WRONLY, (fd) => ftruncateSync(fd, step.size));
      break;
    case "birth":
      changeOpen(path, constants.O_RDONLY, (fd) => futimesSync(fd, step.came, step.came));
      break;
    case "mkdir":
      makeDirectory(path);
      break;
    case "rmdir":
      removeDirectory(path);
      break;
    case "move":
      within(home, step.to, (to) => move(path, to));
      break;
    case "link":
      within(home, step.to, (to) => link(path, to));
      break;
    case "unlink":
      within(home, step.kept, (kept) => unlink(path, kept));
      break;
    case "hold":
      asUser({ uid: ids.uid.qmails, gid: ids.gid.qmail }, () =>
        new HeldFile(home).rewrite(step.held),
      );
      break;
    case "sync":
      syncDirectory(path);
      break;
  }
}

const WORDS: Readonly<Record<Step["step"], string>> = {
  make: "make",
  access: "set owner and mode of",
  resize: "set the size of",
  birth: "set the time of",
  mkdir: "make",
  rmdir: "remove",
  move: "rename",
  link: "put aside",
  unlink: "put aside",
  hold: "write",
  sync: "sync",
};

function make(place: Place, entry: HierEntry, ids: Ids): void {
  const { path } = place;
  if (entry.type === "directory") mkdirSync(path, 0o700);
  else if (entry.type === "file")
    writeFileSync(path, Buffer.alloc(entry.size ?? 0), { flag: "wx" });
  else makeFifo(place);
  const uid = entry.owner === "root" ? ids.owner : ids.uid[entry.owner];
  setAccess(place, { uid, gid: ids.gid[entry.group], mode: entry.mode });
}

/** Only of the very file that was looked at. */
function giveAccess(
  home: string,
  step: { readonly path: string; readonly ino: string; readonly access: Access },
  place: Place,
): void {
  const isMeant = (fd: number) => messIdOf(fstatSync(fd, { bigint: true }).ino) === step.ino;
  setAccess(place, step.access, { isMeant, names: isTwin(home, step) ? 2 : 1 });
}

/** An envelope has two names as long as the message is in todo. */
function isTwin(home: string, { path, ino }: { readonly path: string; readonly ino: string }) {
  const [, kind, id] = /^queue\/(intd|todo)\/(\d+)$/.exec(path) ?? [];
  if (kind === undefined) return false;
  const other = `queue/${kind === "intd" ? "todo" : "intd"}/${id}`;
  return within(home, other, (place) => inodeOf(place.path)) === ino;
}

function changeOpen(path: Place["path"], access: number, change: (fd: number) => void): void {
  const fd = openSync(path, access | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.nlink > 1) throw new Error("it is no file of its own");
    change(fd);
  } finally {
    closeSync(fd);
  }
}

/** Made by an earlier repair, maybe. */
function makeDirectory(path: Place["path"]): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !lstatSync(path).isDirectory()) {
      throw error;
    }
  }
}

/** An earlier repair may have. */
function removeDirectory(path: Place["path"]): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function move(path: Place["path"], to: Place): void {
  if (inodeOf(to.path) !== null) throw new Error(`"${to.name}" is in the way`);
  renameSync(path, to.path);
}

function link(path: Place["path"], to: Place): void {
  try {
    linkSync(path, to.path);
  } catch (error) {
    const done = inodeOf(to.path) !== null && inodeOf(to.path) === inodeOf(path);
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !done) throw error;
  }
}

function unlink(path: Place["path"], kept: Place): void {
  if (inodeOf(kept.path) !== inodeOf(path)) throw new Error(`it is not kept as "${kept.name}"`);
  unlinkSync(path);
}

function inodeOf(path: Place["path"]): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? messIdOf(stat.ino) : null;
}
