/** Makes the steps of a plan. */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { type FileOwner, syncDirectory } from "../../files/atomic.ts";
import type { HierEntry } from "../../hier.ts";
import type { Ids } from "../../ids.ts";
import { messIdOf } from "../fmtqfn.ts";
import { HeldFile } from "../held.ts";
import type { Step } from "./plan.ts";
import { type Access, bytes } from "./survey.ts";

type Path = string | Buffer;

/** Makes `step` in the qmail home `home`. Throws an Error that says which step failed, and why. */
export function carryOut(home: string, step: Step, ids: Ids): void {
  try {
    act(home, step, ids);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`cannot ${WORDS[step.step]} "${step.path}": ${message}`, { cause: error });
  }
}

function act(home: string, step: Step, ids: Ids): void {
  const path = bytes(home, step.path);
  switch (step.step) {
    case "make":
      make(path, step.entry, ids);
      break;
    case "access":
      setAccess(path, step.ino, step.access);
      break;
    case "resize":
      resize(path, step.size);
      break;
    case "birth":
      utimesSync(path, step.came, step.came);
      break;
    case "mkdir":
      makeDirectory(path);
      break;
    case "rmdir":
      removeDirectory(path);
      break;
    case "move":
      move(path, bytes(home, step.to));
      break;
    case "link":
      link(path, bytes(home, step.to));
      break;
    case "unlink":
      unlink(path, bytes(home, step.kept));
      break;
    case "hold":
      new HeldFile(home, ownerOfHeld(ids)).rewrite(step.held);
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

function ownerOfHeld({ sandbox, uid, gid }: Ids): FileOwner | undefined {
  return sandbox ? undefined : { uid: uid.qmails, gid: gid.qmail };
}

function make(path: Path, entry: HierEntry, ids: Ids): void {
  if (entry.type === "directory") mkdirSync(path, 0o700);
  else if (entry.type === "file")
    writeFileSync(path, Buffer.alloc(entry.size ?? 0), { flag: "wx" });
  else makeFifo(String(path));
  const uid = entry.owner === "root" ? ids.owner : ids.uid[entry.owner];
  const access = { uid, gid: ids.gid[entry.group], mode: entry.mode };
  setAccess(path, inodeOf(path) ?? "", access);
}

function makeFifo(path: string): void {
  const { status, stderr, error } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
  if (status !== 0) throw new Error(error?.message ?? stderr.trim());
}

/** Only of the very file that was looked at: the directories belong to users whom root should not obey. */
function setAccess(path: Path, ino: string, { uid, gid, mode }: Access): void {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // Ours in a sandbox, but closed to ourselves.
    if ((error as NodeJS.ErrnoException).code !== "EACCES" || process.geteuid?.() === 0)
      throw error;
    chmodSync(path, mode);
    return;
  }
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (messIdOf(stat.ino) !== ino) throw new Error("it is another file now");
    if (Number(stat.uid) !== uid || Number(stat.gid) !== gid) fchownSync(fd, uid, gid);
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

function resize(path: Path, size: number): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

/** Made by an earlier repair, maybe. */
function makeDirectory(path: Path): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !lstatSync(path).isDirectory()) {
      throw error;
    }
  }
}

/** An earlier repair may have. */
function removeDirectory(path: Path): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function move(path: Path, to: Path): void {
  if (inodeOf(to) !== null) throw new Error(`"${to}" is in the way`);
  renameSync(path, to);
}

function link(path: Path, to: Path): void {
  try {
    linkSync(path, to);
  } catch (error) {
    const done = inodeOf(to) !== null && inodeOf(to) === inodeOf(path);
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !done) throw error;
  }
}

function unlink(path: Path, kept: Path): void {
  if (inodeOf(kept) !== inodeOf(path)) throw new Error(`it is not kept as "${kept}"`);
  unlinkSync(path);
}

function inodeOf(path: Path): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? messIdOf(stat.ino) : null;
}
