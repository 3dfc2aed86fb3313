/** What the five steps of an installation have in common: rows of desired state against actual state. */

import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  lstatSync,
  readFileSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { toBytes } from "../../qmail/arguments.ts";
import { type FileOwner, writeFileAtomic } from "../../qmail/files/atomic.ts";
import { openItself, setAccess, statWithin, within } from "../../qmail/files/foreign-directory.ts";
import { type SecretFile, secretFile } from "../../qmail/hier.ts";
import { type Ids, type QmailGroup, type QmailUser, readIds, sandboxIds } from "../../qmail/ids.ts";
import type { Config, ConfigInput } from "../config.ts";

/** How a row stands. `edited`: a person changed what install had written; it is left alone. */
export type RowState = "ok" | "changed" | "edited";

export interface Row {
  /** What it is about: a path relative to the home, or a user. */
  readonly name: string;
  /** Null when it is as it should be, else what is not, in a few words. */
  inspect(): string | null;
  /** Makes it so. */
  apply(): void | Promise<void>;
  /** When a person has edited it: lines that show how. */
  edits?(): string[] | null;
}

export interface Step {
  readonly title: string;
  rows(context: InstallContext): Row[] | Promise<Row[]>;
}

const REGISTRY = ".qmailctl.json";

/** What install remembers from one run to the next. */
interface Registry {
  /** SHA-256 of each file as install wrote it last, by path. */
  files: Record<string, string>;
  /** The config, for a run without config file. */
  config: ConfigInput;
}

function readRegistry(home: string): Registry {
  try {
    const { files = {}, config = {} } = JSON.parse(readFileSync(join(home, REGISTRY), "utf8"));
    return { files, config };
  } catch {
    return { files: {}, config: {} };
  }
}

/** The config that the mail server in `home` was installed with last; empty when there is none. */
export function installedConfig(home: string): ConfigInput {
  return readRegistry(home).config;
}

/** One run of install. */
export class InstallContext {
  readonly config: Config;
  readonly home: string;
  readonly force: boolean;
  /** This host's full name; found out before the first step. */
  host = "";
  readonly #registry: Registry;
  #ids: Ids | null = null;

  constructor(config: Config, force: boolean) {
    this.config = config;
    this.home = config.home;
    this.force = force;
    this.#registry = { ...readRegistry(config.home), config: config.input };
  }

  path(name: string): string {
    return join(this.home, name);
  }

  /** Null as long as the users do not exist. */
  ids(): Ids | null {
    if (this.#ids) return this.#ids;
    if (this.config.sandbox || this.config.hubs) {
      this.#ids = sandboxIds(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
      return this.#ids;
    }
    try {
      this.#ids = readIds(this.home);
    } catch {
      return null;
    }
    return this.#ids;
  }

  /** Numbers for an owner; null as long as the users do not exist. */
  owner(user: QmailUser | "root", group: QmailGroup): FileOwner | null {
    const ids = this.ids();
    if (!ids) return null;
    return { uid: user === "root" ? ids.owner : ids.uid[user], gid: ids.gid[group] };
  }

  /** True when the file was last written by install and by nobody since. */
  wroteLast(name: string, content: Buffer): boolean {
    return this.#registry.files[name] === digest(content);
  }

  remember(name: string, content: Buffer): void {
    this.#registry.files[name] = digest(content);
  }

  /** The files below `directory` that an earlier run has written and that are not among `wanted`. */
  leftOver(directory: string, wanted: readonly string[]): string[] {
    return Object.keys(this.#registry.files).filter(
      (name) => name.startsWith(`${directory}/`) && !wanted.includes(name),
    );
  }

  forget(name: string): void {
    delete this.#registry.files[name];
  }

  /** Keeps what is remembered for the next run. */
  save(): void {
    const text = `${JSON.stringify(this.#registry, null, 2)}\n`;
    const path = this.path(REGISTRY);
    const { mode } = secretFile(REGISTRY) as SecretFile;
    const owner = this.owner("root", "qmail");
    if (!owner) return;
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && accessTrouble(stat, mode, owner) === null && read(path)?.toString() === text)
      return;
    writeFileAtomic(path, text, { mode, owner });
  }
}

export interface FileRow {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
  readonly owner?: QmailUser | "root";
  readonly group?: QmailGroup;
  /** What is in it is not to be shown. */
  readonly secret?: boolean;
}

/** A file that install writes; a person's edit is kept unless install was told to overwrite it. */
export function fileRow(context: InstallContext, file: FileRow): Row {
  const { name, mode } = file;
  const wanted = Buffer.from(file.content);
  const owner = () => context.owner(file.owner ?? "root", file.group ?? "qmail");
  return {
    name,
    inspect() {
      const found = find(context, name);
      if (found === null) return "missing";
      if (!found.content?.equals(wanted)) return "not as it should be";
      context.remember(name, wanted);
      return accessTrouble(found.stat, mode, owner());
    },
    apply() {
      const who = owner();
      if (!who) throw new Error("the users do not exist");
      within(context.home, toBytes(name), ({ path }) =>
        writeFileAtomic(String(path), wanted, { mode, owner: who }),
      );
      context.remember(name, wanted);
    },
    edits() {
      const found = find(context, name);
      if (!isEdited(context, name, found) || found?.content?.equals(wanted)) return null;
      if (!found?.content) return [ODD];
      if (file.secret) return ["(another content, which is a secret)"];
      if (typeof file.content !== "string") return ["(another content)"];
      return difference(found.content.toString(), file.content);
    },
  };
}

/** A file that must not be there any more; kept when a person has edited it, for which `why` is said. */
export function absentRow(context: InstallContext, name: string, why: string): Row {
  return {
    name,
    inspect() {
      if (find(context, name)) return "not wanted any more";
      context.forget(name);
      return null;
    },
    apply() {
      within(context.home, toBytes(name), ({ path }) => unlinkSync(path));
      context.forget(name);
    },
    edits: () => (isEdited(context, name, find(context, name)) ? [why] : null),
  };
}

/** Rows for what install once wrote below `directory` and the config, which wants `rows`, does not name any more. */
export function leftOverRows(
  context: InstallContext,
  directory: string,
  rows: readonly Row[],
): Row[] {
  const wanted = rows.map(({ name }) => name);
  return context
    .leftOver(directory, wanted)
    .map((name) => absentRow(context, name, "(it is not in the config file any more)"));
}

/** Owner and mode of a secret, whoever has written it. */
export function secretRow(context: InstallContext, { path, owner, group, mode }: SecretFile): Row {
  const who = () => context.owner(owner, group);
  return {
    name: `${path} (a secret)`,
    inspect() {
      const stat = statWithin(context.home, path);
      return stat ? accessTrouble(stat, mode, who()) : null;
    },
    apply() {
      const { uid, gid } = who() ?? { uid: -1, gid: -1 };
      within(context.home, path, (place) => setAccess(place, { uid, gid, mode }));
    },
  };
}

/** What lies there; without content when it is no file of its own, which others may have put there. */
interface Found {
  readonly content: Buffer | null;
  readonly stat: Stats;
}

const ODD = "(a link, or no file at all, that its directory's owner may have put there)";

function isEdited(context: InstallContext, name: string, found: Found | null): boolean {
  if (!found || context.force) return false;
  return found.content === null || !context.wroteLast(name, found.content);
}

function find(context: InstallContext, name: string): Found | null {
  try {
    return within(context.home, toBytes(name), (place) => {
      let fd: number;
      try {
        fd = openItself(place);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ELOOP") throw error;
        return { content: null, stat: lstatSync(place.path) };
      }
      try {
        const stat = fstatSync(fd);
        const own = stat.isFile() && (place.isOurs || stat.nlink === 1);
        return { content: own ? readFileSync(fd) : null, stat };
      } finally {
        closeSync(fd);
      }
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

/** What is wrong with mode or owner of a file; null when nothing is. */
export function accessTrouble(stat: Stats, mode: number, owner: FileOwner | null): string | null {
  if ((stat.mode & 0o7777) !== mode) {
    return `mode ${octal(stat.mode & 0o7777)}, not ${octal(mode)}`;
  }
  if (owner && (stat.uid !== owner.uid || stat.gid !== owner.gid)) {
    return `owner ${stat.uid}:${stat.gid}, not ${owner.uid}:${owner.gid}`;
  }
  return null;
}

/** The content of `path`; null when there is no such file. */
export function read(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

/** Lines only in the file with "-", lines only in what install would write with "+". */
export function difference(actual: string, wanted: string): string[] {
  const there = actual.split("\n").filter(Boolean);
  const ours = wanted.split("\n").filter(Boolean);
  const lines = [
    ...there.filter((line) => !ours.includes(line)).map((line) => `- ${line}`),
    ...ours.filter((line) => !there.includes(line)).map((line) => `+ ${line}`),
  ];
  return lines.length > 0 ? lines : ["(order or spaces differ)"];
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function digest(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
