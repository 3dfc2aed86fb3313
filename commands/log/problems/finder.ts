/** What a part of the log may show to deserve attention. */

import type { Lookout } from "../analysis/lookout.ts";

export interface Problem {
  readonly name: string;
  readonly title: string;
  readonly evidence: string;
  readonly next: string;
}

/** What it has found; null for nothing, or too little to speak of. */
export type Finder = (lookout: Lookout) => Omit<Problem, "name"> | null;

/** `part` of `all` in words. */
export function percent(part: number, all: number): string {
  return `${Math.round((100 * part) / Math.max(1, all))} %`;
}
