/** Names of queue files (C qmail: fmtqfn.c). The path is relative to the queue directory. */

/** Number of subdirectories of mess, info, local and remote; part of the on-disk format (conf-split). */
export const SPLIT = 23;

/**
 * A message's id: the inode number of its mess file, in decimal. A string, because inode numbers
 * of some filesystems are beyond what a number holds exactly.
 */
export type MessId = string;

export type SplitDirectory = "mess" | "info" | "local" | "remote";
export type FlatDirectory = "intd" | "todo" | "bounce";

/** The largest inode number: 2^64 - 1. */
const ID_MAX = "18446744073709551615";

/** True for a name that can be a message's id: decimal, no leading zero, at most 64 bits. */
export function isMessId(name: string): name is MessId {
  return /^[1-9][0-9]{0,19}$/.test(name) && (name.length < 20 || name <= ID_MAX);
}

/** The id of a message whose mess file has the inode number `ino`. Node takes those from 2^63 on for negative. */
export function messIdOf(ino: bigint): MessId {
  return String(BigInt.asUintN(64, ino));
}

/** The subdirectory number for `id`: id modulo 23. */
export function splitOf(id: MessId): number {
  // Most are below 2^53; BigInt only where it must be.
  return id.length < 16 ? Number(id) % SPLIT : Number(BigInt(id) % BigInt(SPLIT));
}

/** For example `mess/7/12345` or `todo/12345`. */
export function fmtqfn(directory: SplitDirectory | FlatDirectory, id: MessId): string {
  switch (directory) {
    case "intd":
    case "todo":
    case "bounce":
      return `${directory}/${id}`;
    default:
      return `${directory}/${splitOf(id)}/${id}`;
  }
}
