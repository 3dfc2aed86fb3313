/**
 * Loaded into qmail-send and the queue server of a test (`node --import`): file operations that fail or wait as
 * long as the test wants. A file `faults/CALL.DIRECTORY` in the home says so of that call in that directory of the queue:
 * what is in it is the error's code, or `hold`.
 */

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const LOOK_MS = 5;

/** The directory of the queue that `path` lies in, or is: "mess" of "queue/mess/3/17" and of "queue/mess". */
function directoryOf(path: unknown): string {
  return /(?:^|\/)queue\/([a-z]+)(?:\/|$)/.exec(String(path))?.[1] ?? "none";
}

function pathOf(fd: number): string {
  return fs.readlinkSync(`/proc/self/fd/${fd}`);
}

function faultOf(call: string, path: unknown): string | null {
  try {
    return read(`faults/${call}.${directoryOf(path)}`, "latin1").trim();
  } catch {
    return null;
  }
}

function failure(code: string, call: string): Error {
  return Object.assign(new Error(`${code}: ${call}, by the test`), { code, syscall: call });
}

const read = fs.readFileSync;

for (const call of ["unlinkSync", "linkSync", "openSync"] as const) {
  const real = fs[call] as (path: unknown, ...rest: unknown[]) => unknown;
  const wrapped = (path: unknown, ...rest: unknown[]) => {
    const flags = call === "openSync" ? String(rest[0]) : "";
    // Only the making of files fails; to be read they are there.
    if (call !== "openSync" || flags.includes("w")) {
      const code = faultOf(call, call === "linkSync" ? rest[0] : path);
      if (code) throw failure(code, call);
    }
    return real(path, ...rest);
  };
  Object.assign(fs, { [call]: wrapped });
}

for (const call of ["fsync", "fdatasync"] as const) {
  const real = fs[call];
  const wrapped = (fd: number, callback: (error: Error | null) => void) => {
    const path = pathOf(fd);
    real(fd, (error) => {
      const look = () => {
        const fault = faultOf(call, path);
        if (fault === "hold") setTimeout(look, LOOK_MS);
        else callback(fault ? failure(fault, call) : error);
      };
      look();
    });
  };
  Object.assign(fs, { [call]: wrapped });
}

syncBuiltinESMExports();
