/** What check and repair say of a queue's faults: for each kind what it is, where, and what repair makes of it. */

import type { Ids } from "../../qmail/ids.ts";
import type { Fault } from "../../qmail/queue/repair/examine.ts";
import { isUnmendable } from "../../qmail/queue/repair/examine.ts";
import { placeOf } from "../../qmail/queue/repair/messages.ts";
import type { Access } from "../../qmail/queue/repair/survey.ts";
import type { Output } from "../output.ts";

/** So many of a kind are shown to a person. */
const EXAMPLES = 3;

interface Kind {
  readonly title: string;
  /** What repair does. */
  readonly remedy: string;
}

const KINDS: Readonly<Record<Fault["fault"] | "unmendable", Kind>> = {
  unmendable: {
    title: "A symbolic link, behind which nothing was looked at",
    remedy: "not mended: put the directory itself there",
  },
  interrupted: {
    title: "A repair was interrupted; until it is run again no qmail-send can start",
    remedy: "goes on where it stopped",
  },
  missing: { title: "Missing", remedy: "made" },
  type: {
    title: "Something else in its place",
    remedy: "that is put aside, and the right thing made",
  },
  access: { title: "Another owner or mode", remedy: "set right" },
  size: { title: "Another size", remedy: "set right" },
  stray: { title: "Belongs to no message", remedy: "put aside in queue/lost+found" },
  split: {
    title: "Directories of another split (conf-split, or the big-todo patch)",
    remedy: "their messages are moved, then they are removed",
  },
  place: {
    title:
      "Messages whose name is not the inode number, or in the wrong directory, as after copying a queue",
    remedy: "all files of each get the right name",
  },
  birth: {
    title: "Messages that would seem as new as their copy",
    remedy: "get back the time when they came, from their first Received line",
  },
  broken: {
    title: "Messages that cannot be delivered",
    remedy: "all files of each are put aside in queue/lost+found, for you to look at",
  },
};

/** Faults of one kind. */
export interface FaultGroup extends Kind {
  readonly fault: keyof typeof KINDS;
  readonly faults: readonly Fault[];
}

/** The faults by kind, as they are said. */
export function groupFaults(faults: readonly Fault[]): FaultGroup[] {
  const groups = new Map<FaultGroup["fault"], Fault[]>();
  for (const fault of faults) {
    const name = isUnmendable(fault) ? "unmendable" : fault.fault;
    const group = groups.get(name);
    if (group) group.push(fault);
    else groups.set(name, [fault]);
  }
  return [...groups].map(([fault, found]) => ({ fault, ...KINDS[fault], faults: found }));
}

/** Shows `faults` to a person. */
export function printFaults(faults: readonly Fault[], { line }: Output, ids: Ids): void {
  for (const { title, remedy, faults: found } of groupFaults(faults)) {
    line(`${title}: ${found.length}`);
    for (const fault of found.slice(0, EXAMPLES)) line(`  ${oneFault(fault, ids)}`);
    if (found.length > EXAMPLES) line(`  and ${found.length - EXAMPLES} more`);
    line(`  repair: ${remedy}`);
    line();
  }
}

/** A fault in one line. */
export function oneFault(fault: Fault, ids: Ids): string {
  switch (fault.fault) {
    case "interrupted":
      return "queue/repair";
    case "missing":
      return fault.path;
    case "type":
      return `${fault.path}: ${article(fault.found.type)}, not ${article(fault.entry.type)}`;
    case "access":
      return `${fault.path}: ${access(fault.found, ids)}, not ${access(fault.wanted, ids)}`;
    case "size":
      return `${fault.path}: ${fault.found} bytes, not ${fault.wanted}`;
    case "stray":
      return "kind" in fault.found ? `${fault.path}: no message for it` : fault.path;
    case "split":
      return `${fault.path}: ${fault.files} files`;
    case "place": {
      const { mess, id } = fault.message;
      return `${mess.path}: should be ${placeOf("mess", id)}`;
    }
    case "birth":
      return `${fault.path}: ${date(fault.info.changed)}, came ${date(fault.came)}`;
    case "broken":
      return `${fault.files.at(-1)?.path}: ${fault.why}`;
  }
}

/** A fault for JSON: in words and as paths. */
export function faultJson(fault: Fault, ids: Ids) {
  return {
    fault: isUnmendable(fault) ? "unmendable" : fault.fault,
    text: oneFault(fault, ids),
    paths: paths(fault),
  };
}

function paths(fault: Fault): string[] {
  switch (fault.fault) {
    case "interrupted":
      return ["queue/repair"];
    case "place":
    case "broken":
      return fault.files.map(({ path }) => path);
    default:
      return [fault.path];
  }
}

function access({ uid, gid, mode }: Access, ids: Ids): string {
  return `${nameOf(ids.uid, uid)}:${nameOf(ids.gid, gid)} ${mode.toString(8).padStart(4, "0")}`;
}

/** The name among qmail's users or groups, else the number. In a sandbox all are one. */
function nameOf(names: Readonly<Record<string, number>>, id: number): string {
  if (id === 0) return "root";
  const found = Object.keys(names).filter((name) => names[name] === id);
  return found.length === 1 ? (found[0] as string) : String(id);
}

function article(type: string): string {
  const word = { fifo: "FIFO", link: "symbolic link", other: "device or socket" }[type] ?? type;
  return `a ${word}`;
}

function date(seconds: number): string {
  return new Date(Math.floor(seconds) * 1000).toISOString().replace(".000Z", "Z");
}
