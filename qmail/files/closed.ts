/** Descriptors that whoever started us has closed. */

import { fstatSync, readFileSync, statSync } from "node:fs";

const O_ACCMODE = 0o3;
const O_RDWR = 0o2;

/**
 * Whether descriptor `fd`, 0 to 2, was closed when this process began: Node opens /dev/null in its place, to read and to write, as nobody
 * does who means it to be read.
 */
export function wasClosed(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev !== statSync("/dev/null").rdev) return false;
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    const flags = Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? "0", 8);
    return (flags & O_ACCMODE) === O_RDWR;
  } catch {
    return false;
  }
}

/** Throws as reading a closed descriptor would. */
export function refuseClosed(fd: number): void {
  if (wasClosed(fd)) throw new Error(`descriptor ${fd} is closed`);
}
