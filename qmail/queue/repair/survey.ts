/** What lies in the queue directory, right or wrong: the material for examine.ts. Reads only; what vanishes meanwhile is left out. */

import { lstatSync, readdirSync, type Stats, statSync } from "node:fs";
import { HIER, type HierEntry } from "../../hier.ts";
import { isMessId, type MessId, messIdOf } from "../fmtqfn.ts";
import { type Held, readHeld } from "../held.ts";
import { madeOf } from "../made.ts";
import { DROP_DIRECTORY, REPAIR_DIRECTORY } from "../protocol.ts";
import { isWhole, isWholeDrop } from "./whole.ts";

/** The directories that have a file for a message. */
export const KINDS = ["mess", "info", "local", "remote", "intd", "todo", "bounce"] as const;
export type Kind = (typeof KINDS)[number];

/** Where an unfinished repair keeps files: named as they will be (renumber.ts). */
export const REPAIR = `queue/${REPAIR_DIRECTORY}`;
/** What qmail-send locks as long as it runs, and where that is meanwhile. */
export const MUTEX = "queue/lock/sendmutex";
export const MUTEX_AWAY = `${REPAIR}/sendmutex`;
/** Where files go that belong to no message. */
export const ASIDE = "queue/lost+found";

/** Who owns a file and who may use it. */
export interface Access {
  readonly uid: number;
  readonly gid: number;
  /** The permission bits. */
  readonly mode: number;
}

/** A file with the name of a message, wherever it lies. All paths are relative to the qmail home. */
export interface QueueFile extends Access {
  readonly kind: Kind;
  readonly path: string;
  /** The directory below that of its kind: "7", or "" for none. */
  readonly sub: string;
  readonly name: MessId;
  /** Its inode number, as a message's name would be. */
  readonly ino: MessId;
  readonly size: number;
  /** When it was changed, in milliseconds since 1970. */
  readonly changedUs: number;
  /** Whole seconds since 1970: last change, last reading, making. */
  readonly changed: number;
  readonly read: number;
  readonly made: number;
  /** False when its bytes are not those of such a file. */
  readonly whole: boolean;
}

/** Something else. */
export interface Found extends Access {
  readonly path: string;
  readonly type: HierEntry["type"] | "link" | "other";
  readonly ino: MessId;
  readonly size: number;
}

/** What a repair has left that was killed. */
export interface Unfinished {
  /** It was collecting files, or putting them in their places; null: neither. */
  readonly phase: "out" | "in" | null;
  /** Those collected. */
  readonly files: readonly QueueFile[];
  /** The mutex is away. */
  readonly mutex: boolean;
}

export interface Survey {
  /** What lies at the places of hier.ts; those missing are not in it. */
  readonly layout: ReadonlyMap<string, Found>;
  readonly files: readonly QueueFile[];
  /** Files that have no name yet: in pid/, and ID.new in local and remote. */
  readonly nameless: readonly Found[];
  /** What belongs nowhere. */
  readonly strays: readonly Found[];
  /** Numbered directories that this split does not have. */
  readonly extra: readonly Found[];
  readonly unfinished: Unfinished | null;
  /** Whole messages in drop, which wait for qmail-send. */
  readonly drops: readonly Found[];
  /** The home is ours, not that of a C qmail. */
  readonly ours: boolean;
  /** Messages that are not to be tried (held.ts). */
  readonly held: Held;
  /** Names in lost+found with their inode numbers. */
  readonly aside: ReadonlyMap<string, MessId>;
}

/** The rows of hier.ts for the queue, and for drop, which a C qmail does not have. */
export const QUEUE_HIER = HIER.filter(({ path }) => /^(queue|drop)(\/|$)/.test(path));

const PLACES = new Set(QUEUE_HIER.map(({ path }) => path));

/** Looks through the queue of the installation in `home`. Throws when it may not. */
export function survey(home: string): Survey {
  return new Surveyor(home).run();
}

class Surveyor {
  readonly #home: string;
  readonly #files: QueueFile[] = [];
  readonly #nameless: Found[] = [];
  readonly #strays: Found[] = [];
  readonly #extra: Found[] = [];

  constructor(home: string) {
    this.#home = home;
  }

  run(): Survey {
    for (const kind of KINDS) this.#kind(kind);
    for (const found of this.#list("queue/pid")) {
      (found.type === "file" ? this.#nameless : this.#strays).push(found);
    }
    for (const directory of ["queue", "queue/lock"]) this.#others(directory);
    const layout = new Map<string, Found>();
    for (const { path } of QUEUE_HIER) {
      const found = this.#look(path);
      if (found) layout.set(path, found);
    }
    return {
      layout,
      files: this.#files,
      nameless: this.#nameless,
      strays: this.#strays,
      extra: this.#extra,
      unfinished: this.#unfinished(),
      drops: this.#drops(),
      ours: this.#stat("service") !== undefined,
      held: readHeld(this.#home),
      aside: new Map(this.#list(ASIDE).map(({ path, ino }) => [baseName(path), ino])),
    };
  }

  /** Every file of `kind`, in numbered directories or not: another qmail may have had another split. */
  #kind(kind: Kind): void {
    const top = `queue/${kind}`;
    if (!this.#stat(top)?.isDirectory()) return;
    for (const name of this.#names(top)) {
      const path = `${top}/${name}`;
      const stat = this.#stat(path);
      if (!stat) continue;
      if (!/^\d+$/.test(name) || !stat.isDirectory()) {
        this.#file({ kind, path, sub: "", name }, stat);
        continue;
      }
      if (!PLACES.has(path)) this.#extra.push(foundOf(path, stat, this.#ino(path, stat)));
      for (const id of this.#names(path)) {
        const file = { kind, path: `${path}/${id}`, sub: name, name: id };
        this.#file(file, this.#stat(file.path));
      }
    }
  }

  #file(
    file: Pick<QueueFile, "kind" | "path" | "sub"> & { readonly name: string },
    stat: Stats | undefined,
  ): void {
    if (!stat) return;
    const ino = this.#ino(file.path, stat);
    const { name } = file;
    if (stat.isFile() && isMessId(name))
      this.#files.push(this.#queueFile({ ...file, name }, stat, ino));
    else
      (isNameless(file.path) ? this.#nameless : this.#strays).push(foundOf(file.path, stat, ino));
  }

  #queueFile(
    file: Pick<QueueFile, "kind" | "path" | "sub" | "name">,
    stat: Stats,
    ino: MessId,
  ): QueueFile {
    const { uid, gid, size } = stat;
    return {
      ...file,
      ino,
      uid,
      gid,
      mode: stat.mode & 0o7777,
      size,
      changedUs: madeOf(stat),
      changed: Math.floor(stat.mtimeMs / 1000),
      read: Math.floor(stat.atimeMs / 1000),
      made: Math.floor(stat.birthtimeMs / 1000),
      whole: isWhole(file.kind, `${this.#home}/${file.path}`, size),
    };
  }

  /** Whatever is in `directory` and should not be. */
  #others(directory: string): void {
    for (const found of this.#list(directory)) {
      if (PLACES.has(found.path) || found.path === REPAIR || found.path === ASIDE) continue;
      this.#strays.push(found);
    }
  }

  /** One of several names may be another's file. */
  #drops(): Found[] {
    return this.#list(DROP_DIRECTORY).filter(({ path, type, size }) => {
      if (type !== "file" || !path.endsWith(".msg") || this.#stat(path)?.nlink !== 1) return false;
      return isWholeDrop(`${this.#home}/${path}`, size);
    });
  }

  #unfinished(): Unfinished | null {
    if (!this.#stat(REPAIR)?.isDirectory()) return null;
    const mutex = this.#stat(MUTEX_AWAY) !== undefined;
    const phase = (["in", "out"] as const).find((name) => this.#stat(`${REPAIR}/${name}`));
    if (phase === undefined) return { phase: null, files: [], mutex };
    return { phase, files: KINDS.flatMap((kind) => this.#staged(phase, kind)), mutex };
  }

  #staged(phase: string, kind: Kind): QueueFile[] {
    return this.#names(`${REPAIR}/${phase}/${kind}`).flatMap((name) => {
      const path = `${REPAIR}/${phase}/${kind}/${name}`;
      const stat = this.#stat(path);
      if (!stat?.isFile() || !isMessId(name)) return [];
      return this.#queueFile({ kind, path, sub: phase, name }, stat, this.#ino(path, stat));
    });
  }

  #list(directory: string): Found[] {
    return this.#names(directory).flatMap((name) => this.#look(`${directory}/${name}`) ?? []);
  }

  #look(path: string): Found | null {
    const stat = this.#stat(path);
    return stat ? foundOf(path, stat, this.#ino(path, stat)) : null;
  }

  #names(directory: string): string[] {
    try {
      return readdirSync(`${this.#home}/${directory}`, "latin1");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Missing, or something else in its place: the layout says so.
      if (code === "ENOENT" || code === "ENOTDIR") return [];
      throw error;
    }
  }

  #stat(path: string): Stats | undefined {
    // Many have their queue on another disk. Of links further down nobody knows who made them.
    const stat = path === "queue" ? statSync : lstatSync;
    return stat(bytes(this.#home, path), { throwIfNoEntry: false });
  }

  #ino(path: string, { ino }: Stats): MessId {
    if (ino > 0 && Number.isSafeInteger(ino)) return String(ino);
    const stat = lstatSync(bytes(this.#home, path), { bigint: true, throwIfNoEntry: false });
    return stat ? messIdOf(stat.ino) : "0";
  }
}

/** `path` in `home` as the system takes it: names in the queue are bytes. */
export function bytes(home: string, path: string): string | Buffer {
  // Names of messages are ASCII, and most by far.
  if (/^[ -~]*$/.test(path)) return `${home}/${path}`;
  return Buffer.concat([Buffer.from(`${home}/`), Buffer.from(path, "latin1")]);
}

function foundOf(path: string, stat: Stats, ino: MessId): Found {
  const { uid, gid, size } = stat;
  return { path, type: typeOf(stat), ino, uid, gid, mode: stat.mode & 0o7777, size };
}

/** What qmail-send writes before it takes the place of a list of recipients. */
function isNameless(path: string): boolean {
  return /^queue\/(local|remote)\/\d+\/\d+\.new$/.test(path);
}

function typeOf(stat: Stats): Found["type"] {
  if (stat.isDirectory()) return "directory";
  if (stat.isFile()) return "file";
  if (stat.isSymbolicLink()) return "link";
  return stat.isFIFO() ? "fifo" : "other";
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
