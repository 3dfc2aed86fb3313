/** The package as npm packs it: installs elsewhere, runs compiled, and types the config file. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "./site/_site.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
}

/** What a lock file says of each package, by its place. */
function packagesOf(file: string): Map<string, LockEntry> {
  const { "": _root, ...packages } = JSON.parse(readFileSync(file, "utf8")).packages;
  return new Map(Object.entries(packages));
}

test("npm pack, npm install, and a mail server from it", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-package-"));
  const env = { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env.PATH}` };
  const ok = async (command: string, args: readonly string[], cwd: string) => {
    const result = await run(command, args, { cwd, env });
    assert.equal(result.code, 0, `${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  t.after(() => rmSync(directory, { recursive: true, force: true }));

  await ok("npm", ["pack", "--pack-destination", directory], ROOT);
  const [tarball = ""] = readdirSync(directory);
  writeFileSync(join(directory, "package.json"), '{ "type": "module", "private": true }\n');
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  await ok("npm", ["install", ...quiet, `./${tarball}`], directory);

  // Whoever installs it gets what was tested: the versions of our own lock file, and nothing of development.
  const lock = packagesOf(join(ROOT, "package-lock.json"));
  const shrunk = packagesOf(join(directory, "node_modules/qmailctl/npm-shrinkwrap.json"));
  const needed = [...lock].filter(([, { dev }]) => dev !== true);
  assert.deepEqual(
    [...shrunk.keys()],
    needed.map(([path]) => path),
  );
  for (const [path, { version, integrity }] of needed) {
    const entry = shrunk.get(path);
    assert.deepEqual([path, entry?.version, entry?.integrity], [path, version, integrity]);
  }
  const installed = packagesOf(join(directory, "node_modules/.package-lock.json"));
  for (const [path, { version }] of installed) {
    const own = path.replace("node_modules/qmailctl/", "");
    if (path !== "node_modules/qmailctl") assert.equal(version, lock.get(own)?.version, path);
  }
  assert.ok(installed.size > 8);
  assert.ok(!existsSync(join(ROOT, "npm-shrinkwrap.json")), "npm would take it for our lock file");

  const launcher = join(directory, "node_modules/.bin/qmailctl");
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  assert.match(await ok(launcher, ["--version"], directory), new RegExp(`^qmailctl/${version} `));

  const config = `import { defineConfig } from "qmailctl";
export default defineConfig({ home: "./qmail", sandbox: true, host: "mail.example.test", services: { smtp: { listen: "127.0.0.1:0" } } });
`;
  writeFileSync(join(directory, "qmailctl.config.ts"), config);
  await ok(launcher, ["install"], directory);
  const bin = join(directory, "qmail/bin");
  assert.match(
    readFileSync(join(bin, "qmail-queue"), "utf8"),
    /dist\/qmail\/queue\/qmail-queue\.js/,
  );
  try {
    await ok(launcher, ["start"], directory);
    assert.match(await ok(join(bin, "qmail-qstat"), [], directory), /^messages in queue: 0\n/);
  } finally {
    await ok(launcher, ["stop"], directory);
  }

  const options = ["--noEmit", "--module", "nodenext", "--strict", "--skipLibCheck"];
  await ok("tsc", [...options, "qmailctl.config.ts"], directory);
  writeFileSync(join(directory, "wrong.ts"), config.replace("sandbox: true", "sandbx: true"));
  const wrong = await run("tsc", [...options, "wrong.ts"], { cwd: directory, env });
  assert.match(wrong.stdout, /'sandbx' does not exist in type 'ConfigInput'/);
});
