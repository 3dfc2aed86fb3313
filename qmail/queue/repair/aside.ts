/**
 * lost+found: where a repair puts what belongs to no message, under its path with dots. Nothing is ever removed. Pure.
 *
 * A file gets its name there first and loses its old one afterwards: a killed repair leaves both names,
 * and no message is half here and half there.
 */

import type { Step } from "./plan.ts";
import { ASIDE, type Found, type QueueFile } from "./survey.ts";

/** The names in lost+found. */
export class Shelf {
  readonly #names: Map<string, string>;

  /** `names` with their inode numbers. */
  constructor(names: ReadonlyMap<string, string>) {
    this.#names = new Map(names);
  }

  /** The path for what lies at `path`: the one that it has there already, or a new one. */
  place({ path, ino }: { readonly path: string; readonly ino: string }): string {
    const base = path.replace(/^queue\//, "").replaceAll("/", ".");
    for (let count = 0; ; count++) {
      const name = count === 0 ? base : `${base}.${count}`;
      const known = this.#names.get(name);
      if (known !== undefined && known !== ino) continue;
      this.#names.set(name, ino);
      return `${ASIDE}/${name}`;
    }
  }
}

/** Puts what is in `groups` aside, the files of a group together. */
export function asideSteps(
  groups: readonly (readonly (Found | QueueFile)[])[],
  shelf: Shelf,
): Step[] {
  if (groups.length === 0) return [];
  const things = groups.flat().map((thing) => ({ thing, to: shelf.place(thing) }));
  const files = things.filter(({ thing }) => "kind" in thing || thing.type === "file");
  const others = things.filter((entry) => !files.includes(entry));
  const links = files.map(({ thing: { path }, to }): Step => ({ step: "link", path, to }));
  return [
    { step: "mkdir", path: ASIDE },
    ...links,
    ...others.map(({ thing: { path }, to }): Step => ({ step: "move", path, to })),
    { step: "sync", path: ASIDE },
    ...files.map(({ thing: { path }, to }): Step => ({ step: "unlink", path, kept: to })),
  ];
}
