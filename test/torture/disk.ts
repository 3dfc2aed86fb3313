/**
 * What a power cut may leave of a site's files: a model of a filesystem's memory and its platter, fed
 * with a trace.
 *
 * A sync makes durable what was done before it began: of a file its bytes, and, where the filesystem is
 * one of those that do so, its names; of a directory its names. Everything else may survive or not.
 *
 * Three kinds of filesystem:
 * - "journal": ext4, xfs. Changes of names survive in the order they were made in; syncing one syncs all before.
 * - "carrying": any order of names, but syncing a file makes its names durable. Promises less than btrfs;
 *   as there, no inode number is given twice (the trace must come from such a filesystem).
 * - "strict": what POSIX says and no more. Only the sync of a directory makes names durable, and a rename
 *   may survive by half.
 * Bytes that were not synced survive wholly, partly, as zeros, or not at all, in all three.
 */

import { dirname } from "node:path";
import type { TraceEvent } from "./plan.ts";

export type Filesystem = "journal" | "carrying" | "strict";

interface FileNode {
  /** Bytes that are durable. */
  platter: Buffer;
  /** Bytes as the programs see them. */
  memory: Buffer;
  /** Changes of bytes that are not durable, oldest first. */
  pending: { readonly seq: number; apply(bytes: Buffer): Buffer }[];
  mtime: number | null;
  /** Variants of its bytes, for these pending changes. */
  variants: { readonly key: string; readonly list: readonly Buffer[] } | null;
}

/** A change of names that is not durable: all of it survives or nothing. */
interface NameChange {
  readonly seq: number;
  readonly entries: readonly { readonly path: string; readonly node: FileNode | null }[];
}

/** A file of a tree that a crash left. */
export interface TreeFile {
  readonly bytes: Buffer;
  readonly mtime: number | null;
}

export type Tree = ReadonlyMap<string, TreeFile>;

interface Covered {
  readonly seq: number;
  readonly node: FileNode | null;
  readonly directory: string;
}

export class Disk {
  readonly #kind: Filesystem;
  readonly #platter = new Map<string, FileNode>();
  readonly #memory = new Map<string, FileNode>();
  readonly #handles = new Map<string, FileNode | string>();
  readonly #syncs = new Map<string, Covered>();
  #changes: NameChange[] = [];
  #seq = 0;

  constructor(kind: Filesystem) {
    this.#kind = kind;
  }

  /** Does the next event. Returns false when nothing that a crash could leave has changed. */
  apply(event: TraceEvent): boolean {
    const handle = "handle" in event ? `${event.process} ${event.handle}` : "";
    switch (event.op) {
      case "open":
        return this.#open(event, handle);
      case "write":
        return this.#bytes(handle, writing(event.at, Buffer.from(event.data, "base64")));
      case "truncate":
        return this.#bytes(handle, (bytes) => sized(bytes, event.size));
      case "times":
        return this.#times(event.path, event.mtime);
      case "link":
        return this.#names([{ path: event.to, node: this.#memory.get(event.from) ?? null }]);
      case "rename":
        return this.#rename(event);
      case "unlink":
        return this.#names([{ path: event.path, node: null }]);
      case "sync":
        return this.#sync(event.phase, handle, `${event.process} ${event.sync}`);
      case "answer":
        return false;
    }
  }

  #open(event: TraceEvent & { op: "open" }, handle: string): boolean {
    const { path, created } = event;
    if (created) {
      const node: FileNode = {
        platter: Buffer.alloc(0),
        memory: Buffer.alloc(0),
        pending: [],
        mtime: null,
        variants: null,
      };
      this.#handles.set(handle, node);
      return this.#names([{ path, node }]);
    }
    this.#handles.set(handle, this.#memory.get(path) ?? path);
    return false;
  }

  #bytes(handle: string, apply: (bytes: Buffer) => Buffer): boolean {
    const node = this.#handles.get(handle);
    if (!node || typeof node === "string") throw new Error("the trace writes to no file");
    node.memory = apply(node.memory);
    node.pending.push({ seq: ++this.#seq, apply });
    return true;
  }

  #times(path: string, time: number): boolean {
    const node = this.#memory.get(path);
    if (node) node.mtime = time;
    return false;
  }

  #rename({ from, to }: { from: string; to: string }): boolean {
    const node = this.#memory.get(from) ?? null;
    const made = { path: to, node };
    const gone = { path: from, node: null };
    if (this.#kind !== "strict") return this.#names([made, gone]);
    this.#names([made]);
    return this.#names([gone]);
  }

  #names(entries: NameChange["entries"]): boolean {
    for (const { path, node } of entries) {
      if (node) this.#memory.set(path, node);
      else this.#memory.delete(path);
    }
    this.#changes.push({ seq: ++this.#seq, entries });
    return true;
  }

  #sync(phase: "begin" | "end", handle: string, sync: string): boolean {
    if (phase === "begin") {
      const what = this.#handles.get(handle);
      if (what === undefined) throw new Error("the trace syncs what it did not open");
      const node = typeof what === "string" ? null : what;
      const directory = typeof what === "string" ? what : "";
      this.#syncs.set(sync, { seq: this.#seq, node, directory });
      return false;
    }
    const covered = this.#syncs.get(sync);
    if (!covered) throw new Error("the trace ends a sync that did not begin");
    this.#syncs.delete(sync);
    if (covered.node) flush(covered.node, covered.seq);
    const durable = (change: NameChange) => this.#isCovered(change, covered);
    if (this.#kind === "journal") {
      const last = this.#changes.findLast(durable)?.seq ?? 0;
      this.#settle((change) => change.seq <= last);
    } else {
      this.#settle(durable);
    }
    return true;
  }

  #isCovered(change: NameChange, { seq, node, directory }: Covered): boolean {
    if (change.seq > seq) return false;
    return change.entries.some((entry) => {
      if (node) return this.#kind !== "strict" && entry.node === node;
      return dirname(entry.path) === directory;
    });
  }

  /** Moves changes of names to the platter. One that is overtaken by a later one must not undo it. */
  #settle(durable: (change: NameChange) => boolean): void {
    const kept: NameChange[] = [];
    for (const change of this.#changes) {
      if (!durable(change)) {
        kept.push(change);
        continue;
      }
      for (const { path, node } of change.entries) {
        if (node) this.#platter.set(path, node);
        else this.#platter.delete(path);
      }
    }
    const settled = new Set(this.#changes.filter((change) => !kept.includes(change)));
    const newest = (path: string) =>
      Math.max(
        0,
        ...[...settled]
          .filter(({ entries }) => entries.some((e) => e.path === path))
          .map(({ seq }) => seq),
      );
    this.#changes = kept
      .map(({ seq, entries }) => ({
        seq,
        entries: entries.filter(({ path }) => seq > newest(path)),
      }))
      .filter(({ entries }) => entries.length > 0);
  }

  /** The changes of names that a crash now may undo. */
  get open(): number {
    return this.#changes.length;
  }

  /**
   * The tree that is left when those changes of names survive that `kept` says, and of bytes that were
   * not synced what `torn` says.
   */
  tree(kept: (at: number) => boolean, torn: (variants: number) => number): Tree {
    const names = new Map(this.#platter);
    for (const [at, { entries }] of this.#changes.entries()) {
      if (!kept(at)) continue;
      for (const { path, node } of entries) {
        if (node) names.set(path, node);
        else names.delete(path);
      }
    }
    const chosen = new Map<FileNode, TreeFile>();
    const tree = new Map<string, TreeFile>();
    for (const [path, node] of names) {
      let file = chosen.get(node);
      if (!file) {
        const variants = variantsOf(node);
        const bytes = variants[torn(variants.length)] ?? node.memory;
        file = { bytes, mtime: node.mtime };
        chosen.set(node, file);
      }
      tree.set(path, file);
    }
    return tree;
  }
}

/** Bytes of a file that a crash may leave: first the durable ones, last all of them. */
function variantsOf(node: FileNode): readonly Buffer[] {
  const key = node.pending.map(({ seq }) => seq).join();
  if (node.variants?.key !== key || key === "") node.variants = { key, list: makeVariants(node) };
  return node.variants.list;
}

function makeVariants({ platter, memory, pending }: FileNode): Buffer[] {
  if (pending.length === 0) return [platter];
  const half = memory.length >> 1;
  const candidates = [
    platter,
    // A size that was written down before the bytes were.
    sized(platter, memory.length),
    Buffer.concat([memory.subarray(0, half), sized(platter, memory.length).subarray(half)]),
    Buffer.concat([sized(platter, half), memory.subarray(half)]),
    // What was appended, cut off. Bytes that were durable stay.
    memory.subarray(0, Math.max(half, platter.length + ((memory.length - platter.length) >> 1))),
    ...pending.map((lost) =>
      pending.reduce((bytes, change) => (change === lost ? bytes : change.apply(bytes)), platter),
    ),
    memory,
  ];
  const seen = new Set<string>();
  return candidates.filter((bytes) => {
    const key = bytes.toString("latin1");
    const fresh = !seen.has(key);
    seen.add(key);
    return fresh;
  });
}

function flush(node: FileNode, seq: number): void {
  for (const change of node.pending) {
    if (change.seq <= seq) node.platter = change.apply(node.platter);
  }
  node.pending = node.pending.filter((change) => change.seq > seq);
}

function writing(at: number, data: Buffer): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const out = sized(bytes, Math.max(bytes.length, at + data.length));
    data.copy(out, at);
    return out;
  };
}

/** A copy of `bytes` with `size`: cut, or filled with zeros. */
function sized(bytes: Buffer, size: number): Buffer {
  const out = Buffer.alloc(size);
  bytes.copy(out, 0, 0, Math.min(bytes.length, size));
  return out;
}
