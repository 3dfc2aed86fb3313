/**
 * Root in directories of others, where it must be root: repair and install give files away.
 *
 * Whose a directory is may change any name in it at any moment. So nothing is done to a path: the directories on the
 * way are opened one by one without following links, what is to be done is done in the open one, and owners and modes
 * are given to open files. `/proc/self/fd/N/NAME` is what openat(2) and its relatives are to C.
 *
 * Links are followed where root alone could have made them: many have their queue on another disk.
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from "node:fs";
import type { FileOwner } from "./atomic.ts";
import { fsPath } from "./bytes.ts";

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Others may write: the group or everybody. */
const WRITABLE = 0o022;

/** Where something is, for the moment: in a directory that stays the one it was. */
export interface Place {
  readonly path: string | Buffer;
  /** The directory, open, and the name in it, for other programs; of who is not root -1 and a whole path. */
  readonly directory: number;
  readonly name: string;
  /** Nobody but root and us can put a link there. */
  readonly isOurs: boolean;
}

/** Has `action` done at `path`, a byte string, below `home`. Who is not root has nothing to give away: for him it is the path itself. */
export function within<T>(home: string, path: string, action: (place: Place) => T): T {
  if (process.geteuid?.() !== 0) {
    const name = `${home}/${path}`;
    const bytes = Buffer.concat([Buffer.from(`${home}/`), Buffer.from(path, "latin1")]);
    return action({ path: bytes, directory: -1, name, isOurs: true });
  }
  const slash = path.lastIndexOf("/");
  const directory = openDirectory(home, path.slice(0, Math.max(0, slash)));
  try {
    const name = path.slice(slash + 1);
    const isOurs = isClosed(fstatSync(directory));
    return action({ path: at(directory, name), directory, name, isOurs });
  } finally {
    closeSync(directory);
  }
}

/** What is at `path` below `home`; undefined for nothing. Links as everywhere here. */
export function statWithin(home: string, path: string): Stats | undefined {
  try {
    return within(home, path, (place) => {
      const stat = place.isOurs ? statSync : lstatSync;
      return stat(place.path, { throwIfNoEntry: false });
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A descriptor of the directory `path` below `home`. Throws where a link is in the way that another may have made. */
function openDirectory(home: string, path: string): number {
  let fd = openSync(home, O_RDONLY | O_DIRECTORY);
  for (const name of path.split("/").filter(Boolean)) {
    const parent = fd;
    try {
      fd = step(parent, name);
    } finally {
      closeSync(parent);
    }
  }
  return fd;
}

function step(parent: number, name: string): number {
  const path = at(parent, name);
  try {
    return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (!lstatSync(path).isSymbolicLink()) throw error;
    if (!isClosed(fstatSync(parent))) throw new ForeignLinkError(name);
    return openSync(path, O_RDONLY | O_DIRECTORY);
  }
}

/** A symbolic link where another than root may have put it. */
export class ForeignLinkError extends Error {
  constructor(name: string) {
    super(`"${name}" is a symbolic link in a directory that is not root's: it is not followed`);
  }
}

/** True when nobody but root and us can make names in the directory. */
function isClosed({ uid, mode }: Stats): boolean {
  return (uid === 0 || uid === process.geteuid?.()) && (mode & WRITABLE) === 0;
}

function at(directory: number, name: string): string | Buffer {
  return fsPath(`/proc/self/fd/${directory}/${name}`);
}

/** Opens what is there, to look at it: no link of others, and nothing that would wait for another side. */
export function openItself({ path, isOurs }: Pick<Place, "path" | "isOurs">): number {
  return openSync(path, O_RDONLY | O_NONBLOCK | (isOurs ? 0 : O_NOFOLLOW));
}

/** What is in the place of a file, or why we may not read what is there; it says so itself. */
export class NoFileError extends Error {
  readonly path: string;
  readonly reason: string;

  /** `cause`: why it could not even be opened. */
  constructor(path: string, reason: string, cause?: unknown) {
    super(`"${path}": ${reason}`, { cause });
    this.path = path;
    this.reason = reason;
  }
}

interface OpenedFile {
  readonly fd: number;
  readonly stat: Stats;
}

/** What open(2) says of what another has made so. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "access denied",
  EPERM: "access denied",
  ELOOP: "it is a symbolic link",
  ENXIO: "it is a socket",
  ENODEV: "it is a device",
  EIO: "the disk cannot read it",
};

/**
 * Opens the file at `path`, a byte string, for reading. Others may have put anything there: no link is followed, and
 * nothing is opened that reading would wait for. Throws NoFileError for what is no file, or closed to us.
 */
export function openFile(path: string): OpenedFile {
  let fd: number;
  try {
    fd = openItself({ path: fsPath(path), isOurs: false });
  } catch (error) {
    const reason = REASONS[(error as NodeJS.ErrnoException).code ?? ""];
    throw reason === undefined ? error : new NoFileError(path, reason, error);
  }
  const stat = fstatSync(fd);
  if (stat.isFile()) return { fd, stat };
  closeSync(fd);
  throw notAFile(path, stat);
}

/** As `openFile`; null when nothing is there. */
export function openIfThere(path: string): OpenedFile | null {
  try {
    return openFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** What to say of `path`, which is no file. */
export function notAFile(path: string, stat: Stats): NoFileError {
  return new NoFileError(path, `it is a ${kindOf(stat)}`);
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symbolic link";
  if (stat.isFIFO()) return "FIFO";
  return stat.isSocket() ? "socket" : "device";
}

/** All of the file at `path`; as `openFile`. Throws NoFileError for one of more than `most` bytes: nobody wrote so many. */
export function readForeign(path: string, most: number): Buffer {
  const { fd, stat } = openFile(path);
  try {
    if (stat.size > most) throw new NoFileError(path, `it is ${stat.size} bytes long`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives what is at `place` owner and mode, when `isMeant` says so of it. Throws for a file with more than `names`
 * names: one of them may lie where it is somebody else's.
 */
export function setAccess(
  place: Place,
  { uid, gid, mode }: FileOwner & { readonly mode: number },
  { isMeant = () => true, names = 1 }: { isMeant?: (fd: number) => boolean; names?: number } = {},
): void {
  let fd: number;
  try {
    fd = openItself(place);
  } catch (error) {
    // Ours, but closed to ourselves.
    if ((error as NodeJS.ErrnoException).code !== "EACCES" || place.directory >= 0) throw error;
    chmodSync(place.path, mode);
    return;
  }
  try {
    const stat = fstatSync(fd);
    if (!isMeant(fd)) throw new Error("it is another file now");
    if (stat.isFile() && stat.nlink > names) throw new Error("it has another name elsewhere");
    if (stat.uid !== uid || stat.gid !== gid) fchownSync(fd, uid, gid);
    // After chown, which takes the special bits away.
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

/** Makes a FIFO at `place`. The program has the directory as its 3. */
export function makeFifo({ directory, name }: Place): void {
  const path = directory < 0 ? name : `/proc/self/fd/3/${name}`;
  const { status, stderr, error } = spawnSync("mkfifo", ["-m", "600", path], {
    stdio: ["ignore", "ignore", "pipe", ...(directory < 0 ? [] : [directory])],
    encoding: "utf8",
  });
  if (status !== 0)
    throw new Error(`cannot make the FIFO "${name}": ${error?.message ?? stderr.trim()}`);
}
