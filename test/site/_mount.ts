/** Small filesystems, that they may be full. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lacks, run, type Site } from "./_site.ts";

/** Why no small filesystem can be had; false when it can. */
export function cannotMount(): string | false {
  if (process.getuid?.() !== 0) return "needs root to mount a small filesystem";
  const lacking = lacks("mount", "umount");
  if (lacking) return lacking;
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-mount-"));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "tmpfs", directory]);
  if (status === 0) spawnSync("umount", [directory]);
  rmSync(directory, { recursive: true });
  return status !== 0 && "this system lets nobody mount, as in a container";
}

/** A filesystem of `size` as the home of `site`, which is stopped at the end. */
export async function mountSmall(site: Site, size: string): Promise<AsyncDisposable> {
  mkdirSync(site.home);
  const options = `size=${size},mode=755`;
  const { code, stderr } = await run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", site.home]);
  assert.equal(code, 0, stderr);
  return {
    async [Symbol.asyncDispose]() {
      await site.ctl("stop");
      await run("umount", [site.home]);
    },
  };
}
