/** What a log directory has beside its log: the lock of the one who writes there, and a processor for finished files. */

import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, renameSync } from "node:fs";
import { lockExclusive } from "../files/lock.ts";

/** Takes the lock of `directory` until this process ends. Throws. */
export function lockDirectory(directory: string): void {
  const fd = openSync(`${directory}/lock`, "a", 0o600);
  if (lockExclusive(fd)) return;
  closeSync(fd);
  throw new Error(`unable to lock directory ${directory}: another multilog writes there`);
}

/**
 * What makes of `directory`/previous the file `made`: /bin/sh runs `command` from the one to the other; its descriptor 4 reads
 * what the run before has written to its descriptor 5. Throws when it does not succeed.
 */
export function processor(directory: string, command: string): (made: string) => void {
  const path = (name: string) => `${directory}/${name}`;
  return (made) => {
    closeSync(openSync(path("state"), "a", 0o644));
    const fds = [
      openSync(path("previous"), "r"),
      openSync(made, "w", 0o644),
      openSync(path("state"), "r"),
      openSync(path("newstate"), "w", 0o644),
    ] as const;
    try {
      const [previous, processed, state, newState] = fds;
      const { status, error } = spawnSync("/bin/sh", ["-c", command], {
        stdio: [previous, processed, "inherit", "ignore", state, newState],
      });
      if (error) throw error;
      if (status !== 0) throw new Error(`the processor has left with ${status}`);
      for (const fd of [processed, newState]) fsyncSync(fd);
    } finally {
      for (const fd of fds) closeSync(fd);
    }
    renameSync(path("newstate"), path("state"));
  };
}
