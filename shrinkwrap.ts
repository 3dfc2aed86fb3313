/**
 * `npm pack` takes npm-shrinkwrap.json along: package-lock.json without what only development needs. So whoever installs
 * the package, as root maybe, gets the very dependencies that were tested.
 *
 * It is there while npm packs and no longer: npm would take it for the lock file of this directory.
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs";

const FILE = "npm-shrinkwrap.json";

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

if (process.argv[2] === "remove") rmSync(FILE, { force: true });
else writeFileSync(FILE, `${JSON.stringify(shrink(), null, 2)}\n`);

function shrink(): LockFile {
  const lock: LockFile = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const entries = Object.entries(lock.packages).filter(([, { dev }]) => dev !== true);
  const { "": root, ...packages } = Object.fromEntries(entries);
  const { devDependencies, ...own } = root as Record<string, unknown>;
  return { ...lock, packages: { "": own, ...packages } };
}
