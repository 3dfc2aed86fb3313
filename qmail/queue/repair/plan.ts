/**
 * The steps that mend a queue, in an order in which a repair that is killed between any two of them can be run again.
 * Pure. Each step touches one name, so it is made or not made.
 */

import type { HierEntry } from "../../hier.ts";
import { HELD_DIRECTORY, type Held } from "../held.ts";
import { asideSteps, Shelf } from "./aside.ts";
import type { Fault } from "./examine.ts";
import { renumberSteps } from "./renumber.ts";
import type { Access, Found, QueueFile, Survey } from "./survey.ts";

export type Step =
  /** Makes what hier.ts says. */
  | { readonly step: "make"; readonly path: string; readonly entry: HierEntry }
  | {
      readonly step: "access";
      readonly path: string;
      readonly ino: string;
      readonly access: Access;
    }
  | { readonly step: "resize"; readonly path: string; readonly size: number }
  /** Sets the time of info. */
  | { readonly step: "birth"; readonly path: string; readonly came: number }
  /** A directory for the repair alone. */
  | { readonly step: "mkdir"; readonly path: string }
  | { readonly step: "rmdir"; readonly path: string }
  /** Renames; `to` must be free. */
  | { readonly step: "move"; readonly path: string; readonly to: string }
  /** Gives a second name. */
  | { readonly step: "link"; readonly path: string; readonly to: string }
  /** Takes the first name away, when `kept` is the second. */
  | { readonly step: "unlink"; readonly path: string; readonly kept: string }
  /** Adds to held/messages. */
  | { readonly step: "hold"; readonly path: string; readonly held: Held }
  | { readonly step: "sync"; readonly path: string };

/** Mends `faults`, which examine.ts has found in `survey`. */
export function plan(survey: Survey, faults: readonly Fault[]): Step[] {
  const shelf = new Shelf(survey.aside);
  return [
    ...faults.flatMap((fault) => (fault.fault === "type" ? replaceSteps(fault, shelf) : [])),
    ...faults.flatMap(layoutSteps),
    ...asideSteps(faults.flatMap(setAside), shelf),
    ...faults.flatMap(fileSteps),
    ...holdSteps(survey, faults),
    ...renumberSteps(survey, faults),
  ];
}

/** Directories and the files of lock/: parents come first in hier.ts, so they do here. */
function layoutSteps(fault: Fault): Step[] {
  switch (fault.fault) {
    case "missing":
      return [{ step: "make", path: fault.path, entry: fault.entry }];
    case "size":
      return [{ step: "resize", path: fault.path, size: fault.wanted }];
    default:
      return [];
  }
}

function replaceSteps(
  { path, entry, found }: Extract<Fault, { fault: "type" }>,
  shelf: Shelf,
): Step[] {
  return [...asideSteps([[found]], shelf), { step: "make", path, entry }];
}

/** What was held stays so under its new name. */
function holdSteps(survey: Survey, faults: readonly Fault[]): Step[] {
  const held = faults.flatMap((fault) => {
    if (fault.fault !== "place" || !fault.held) return [];
    return [[fault.message.id, fault.message.mess.changedUs] as const];
  });
  if (held.length === 0) return [];
  const path = `${HELD_DIRECTORY}/messages`;
  return [{ step: "hold", path, held: new Map([...survey.held, ...held]) }];
}

/** What goes aside, each group together. */
function setAside(fault: Fault): (readonly (Found | QueueFile)[])[] {
  if (fault.fault === "stray") return [[fault.found]];
  return fault.fault === "broken" ? [fault.files] : [];
}

function fileSteps(fault: Fault): Step[] {
  switch (fault.fault) {
    case "access":
      return [{ step: "access", path: fault.path, ino: fault.found.ino, access: fault.wanted }];
    case "birth":
      return [{ step: "birth", path: fault.path, came: fault.came }];
    default:
      return [];
  }
}
