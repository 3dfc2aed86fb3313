/** This machine, as lock files are judged by it. */

import { readFileSync, statfsSync } from "node:fs";
import { hostname, uptime } from "node:os";
import { dirname } from "node:path";
import { fsPath } from "../files/bytes.ts";
import type { Machine } from "../files/lock-file.ts";
import { bootId } from "./procfs.ts";

/** Types of statfs(2) that one host alone writes to. */
const ALONE: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
]);

class ThisMachine implements Machine {
  readonly host = hostname();
  readonly boot = bootId();
  #bootedAt = Number.POSITIVE_INFINITY;

  now(): number {
    return Date.now();
  }

  /** Of all that was ever reckoned the earliest: a clock that is set ahead must not make what lives look older than the boot. */
  bootedAt(): number {
    // What a container is told may be its own time, and the monotonic clock stands still while a laptop sleeps.
    const up = Math.max(uptime(), process.hrtime()[0]);
    this.#bootedAt = Math.min(this.#bootedAt, Date.now() - up * 1000);
    return this.#bootedAt;
  }

  started(pid: number): number | "dead" | "hidden" {
    try {
      process.kill(pid, 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ESRCH") return "dead";
    }
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // In a container nobody may have waited for it: then it is dead and still has its pid.
      return fields[0] === "Z" || fields[0] === "X" ? "dead" : Number(fields[19]);
    } catch {
      return "hidden";
    }
  }

  alone(path: string): boolean {
    try {
      return ALONE.has(statfsSync(fsPath(dirname(path))).type);
    } catch {
      return false;
    }
  }
}

let machine: ThisMachine | null = null;

/** The machine we run on: asked for when the first lock is taken, and once. */
export function thisMachine(): Machine {
  machine ??= new ThisMachine();
  // From here on it sees the clock being set.
  machine.bootedAt();
  return machine;
}
