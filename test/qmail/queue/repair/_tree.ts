/** Whole queues in a sandbox's home, with messages whose every file says which message it is of. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { HIER } from "../../../../qmail/hier.ts";
import { readIds } from "../../../../qmail/ids.ts";
import { fmtqfn } from "../../../../qmail/queue/fmtqfn.ts";
import { lookAtQueue, makeSteps, repairSteps } from "../../../../qmail/queue/repair/repair.ts";
import { KINDS, type Kind } from "../../../../qmail/queue/repair/survey.ts";

export const CAME = Date.UTC(2026, 10, 20, 8, 30, 5) / 1000;
const LINE = "Received: (qmail 77 invoked from network); 20 Nov 2026 08:30:05 -0000\n";

/** What a message of each state has beside mess. */
export const STATES = {
  todo: ["todo", "intd"],
  settling: ["todo", "intd", "info", "remote"],
  local: ["info", "local"],
  both: ["info", "local", "remote", "bounce"],
  done: ["info", "bounce"],
  unfinished: ["intd"],
} as const satisfies Record<string, readonly Kind[]>;
export type State = keyof typeof STATES;

export interface Tree extends Disposable {
  readonly home: string;
  path(name: string): string;
  /** Makes a message all of whose files say `tag`. Returns its id. */
  add(tag: string, state: State): string;
  /** Renames all files of a message, in their directories or those of another split. */
  rename(id: string, to: string, split?: number): void;
  /** Looks, and mends until nothing is wrong; `before` is told of each step and may throw. */
  repair(before?: () => void): void;
  /** What is wrong, in words. */
  faults(): string[];
  /** The tags of each message by its name: those of all its files. */
  tags(): Map<string, Set<string>>;
  /** Every file in queue/, relative to it. */
  files(): string[];
}

/** In memory where there is such a place: a busy disk would make thousands of syncs last. */
export const IN_MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** An empty queue as install makes it. */
export function makeTree(directory = tmpdir()): Tree {
  const home = mkdtempSync(join(directory, "qmailctl-repair-"));
  writeFileSync(join(home, ".sandbox"), "");
  const path = (name: string) => join(home, name);
  for (const { path: name, type, mode, size = 0 } of HIER) {
    if (name === "." || !name.startsWith("queue")) continue;
    if (type === "directory") mkdirSync(path(name));
    else if (type === "file") writeFileSync(path(name), Buffer.alloc(size));
    else assert.equal(spawnSync("mkfifo", [path(name)]).status, 0);
    chmodSync(path(name), mode);
  }
  const ids = readIds(home);
  const look = () => lookAtQueue(home, Date.now() / 1000, ids);
  const files = () =>
    readdirSync(path("queue"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(home.length + 7))
      .sort();
  return {
    home,
    path,
    files,
    add: (tag, state) => addMessage(home, tag, STATES[state]),
    rename(id, to, split = 23) {
      for (const kind of KINDS) {
        const from = path(`queue/${fmtqfn(kind, id)}`);
        const flat = ["todo", "intd", "bounce"].includes(kind);
        const place: string = flat ? `${kind}/${to}` : `${kind}/${Number(to) % split}/${to}`;
        if (!statSync(from, { throwIfNoEntry: false })) continue;
        mkdirSync(dirname(path(`queue/${place}`)), { recursive: true });
        assert.equal(statSync(path(`queue/${place}`), { throwIfNoEntry: false }), undefined);
        renameSync(from, path(`queue/${place}`));
      }
    },
    repair(before) {
      for (let round = 0; ; round++) {
        const found = look();
        if (found.faults.length === 0) return;
        assert.ok(round < 4, `still wrong: ${JSON.stringify(found.faults)}`);
        makeSteps(home, repairSteps(found), { ids, ...(before ? { before } : {}) });
      }
    },
    faults: () =>
      look().faults.map((fault) => {
        const where = "path" in fault ? fault.path : "files" in fault ? fault.files[0]?.path : "";
        return `${fault.fault} ${where}`.trim();
      }),
    tags: () => tagsByName(home, files()),
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}

function addMessage(home: string, tag: string, kinds: readonly Kind[]): string {
  const path = (name: string) => join(home, "queue", name);
  writeFileSync(path("pid/new"), `${LINE}Tag: ${tag};\n`, { mode: 0o644 });
  utimesSync(path("pid/new"), Date.now() / 1000, CAME);
  const id = String(statSync(path("pid/new")).ino);
  renameSync(path("pid/new"), path(fmtqfn("mess", id)));
  const texts: Partial<Record<Kind, string>> = {
    info: `F${tag};@from\0`,
    local: `T${tag};@local\0`,
    remote: `D${tag};@remote\0T${tag};@too\0`,
    intd: `u1\0p2\0F${tag};@from\0T${tag};@to\0`,
    bounce: `<${tag};>:\nno\n\n`,
  };
  for (const kind of kinds.filter((name) => name !== "todo")) {
    const mode = kind === "intd" ? 0o644 : 0o600;
    writeFileSync(path(fmtqfn(kind, id)), texts[kind] ?? "", { mode });
  }
  if (kinds.includes("todo")) linkSync(path(fmtqfn("intd", id)), path(fmtqfn("todo", id)));
  if (kinds.includes("info")) utimesSync(path(fmtqfn("info", id)), CAME, CAME);
  return id;
}

function tagsByName(home: string, files: readonly string[]): Map<string, Set<string>> {
  const tags = new Map<string, Set<string>>();
  for (const file of files) {
    const [kind, name] = [file.split("/")[0] ?? "", file.split("/").at(-1) ?? ""];
    if (!(KINDS as readonly string[]).includes(kind)) continue;
    const text = readFileSync(join(home, "queue", file), "latin1");
    const known = tags.get(name) ?? new Set();
    for (const [, tag = ""] of text.matchAll(/([a-z]+\d*);/g)) known.add(tag);
    tags.set(name, known);
  }
  return tags;
}
