/** What the five steps of an installation have in common: rows of desired state against actual state. */

import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type FileOwner, writeFileAtomic } from "../../qmail/files/atomic.ts";
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

  forget(name: string): void {
    delete this.#registry.files[name];
  }

  /** Keeps what is remembered for the next run. */
  save(): void {
    const text = `${JSON.stringify(this.#registry, null, 2)}\n`;
    const path = this.path(REGISTRY);
    const owner = this.owner("root", "qmail");
    if (!owner || read(path)?.toString() === text) return;
    writeFileAtomic(path, text, { mode: 0o644, owner });
  }
}

export interface FileRow {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
  readonly owner?: QmailUser;
}

/** A file that install writes; a person's edit is kept unless install was told to overwrite it. */
export function fileRow(context: InstallContext, file: FileRow): Row {
  const path = context.path(file.name);
  const wanted = Buffer.from(file.content);
  const edited = () => {
    const actual = read(path);
    return (
      actual !== null &&
      !actual.equals(wanted) &&
      !context.wroteLast(file.name, actual) &&
      !context.force
    );
  };
  return {
    name: file.name,
    inspect() {
      const actual = read(path);
      if (actual === null) return "missing";
      if (!actual.equals(wanted)) return "not as it should be";
      context.remember(file.name, wanted);
      return modeTrouble(path, file.mode, context.owner(file.owner ?? "root", "qmail"));
    },
    apply() {
      const owner = context.owner(file.owner ?? "root", "qmail");
      if (!owner) throw new Error("the users do not exist");
      writeFileAtomic(path, wanted, { mode: file.mode, owner });
      context.remember(file.name, wanted);
    },
    edits() {
      if (!edited()) return null;
      if (typeof file.content !== "string") return ["(another content)"];
      return difference(read(path)?.toString() ?? "", file.content);
    },
  };
}

/** What is wrong with mode or owner of `path`; null when nothing is. */
export function modeTrouble(path: string, mode: number, owner: FileOwner | null): string | null {
  const stat = statSync(path);
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
