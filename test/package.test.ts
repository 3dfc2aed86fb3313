/** The package as npm packs it: installs elsewhere, runs compiled, and types the config file. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort, lacks, type Result, run } from "./site/_site.ts";

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

const env = { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env.PATH}` };
const packed = mkdtempSync(join(tmpdir(), "qmailctl-packed-"));
let tarball = "";

before(async () => {
  await ok("npm", ["pack", "--pack-destination", packed], ROOT);
  tarball = join(packed, readdirSync(packed)[0] ?? "");
  chmodSync(packed, 0o755);
});
after(() => rmSync(packed, { recursive: true, force: true }));

async function ok(command: string, args: readonly string[], cwd: string): Promise<string> {
  const result = await run(command, args, { cwd, env });
  assert.equal(result.code, 0, `${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** npm as it is run here: it does not wait minutes for a registry that is not there. */
const QUIET = [
  ...["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"],
  ...["--fetch-retries=0", "--fetch-timeout=60000"],
];

/** Why npm cannot have what it needs, from its cache or a registry; false when it can. */
let offline: Promise<string | false> | undefined;

/** Runs npm with `args`. True: it was done. False: the test is skipped, since there is no registry. */
async function npm(t: TestContext, args: readonly string[], options: Parameters<typeof run>[2]) {
  offline ??= tryNpm();
  const lacking = await offline;
  if (lacking) {
    t.skip(lacking);
    return false;
  }
  const result = await run("npm", [...args, ...QUIET], { env, ...options });
  assert.equal(result.code, 0, `npm ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return true;
}

const NO_NETWORK =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|EHOSTUNREACH)\b/;

async function tryNpm(): Promise<string | false> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-npm-"));
  try {
    writeFileSync(join(directory, "package.json"), '{ "private": true }\n');
    const args = ["install", "--ignore-scripts", ...QUIET, tarball];
    const { code, stderr } = await run("npm", args, { cwd: directory, env });
    return code !== 0 && NO_NETWORK.test(stderr) && "needs an npm registry, or npm's cache filled";
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test("npm pack, npm install, and a mail server from it", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-package-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "package.json"), '{ "type": "module", "private": true }\n');
  if (!(await npm(t, ["install", tarball], { cwd: directory }))) return;

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

const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The code blocks of README.md in `language`. */
function blocks(language: string): string[] {
  return [...README.matchAll(/^```(\w*)\n(.*?)^```/gms)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] as string);
}

/** The lines of a block that are commands, without their comments. */
function commandsIn(block: string): string[][] {
  const lines = block.split("\n").map((line) => line.replace(/\s+#.*/, "").trim());
  return lines.filter((line) => line !== "").map((line) => line.split(/\s+/));
}

/** Everybody whose README it is: ourselves, and where we are root somebody who is not. */
const PEOPLE: readonly { readonly who: string; readonly uid: number | null }[] =
  process.getuid?.() === 0
    ? [
        { who: "root", uid: null },
        { who: "somebody", uid: 65_534 },
      ]
    : [{ who: "somebody", uid: null }];

for (const { who, uid } of PEOPLE) {
  test(`README.md, walked by ${who} in empty directories`, {
    skip: uid !== null && lacks("setpriv"),
  }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-readme-"));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const [prefix, work, empty] = ["prefix", "work", "empty"].map((name) => join(directory, name));
    for (const path of [directory, prefix, work, empty] as string[]) {
      if (path !== directory) mkdirSync(path);
      chmodSync(path, 0o755);
      if (uid !== null) chownSync(path, uid, uid);
    }
    const mine = {
      ...process.env,
      HOME: directory,
      PATH: `${prefix}/bin:${ROOT}node_modules/.bin:${process.env.PATH}`,
    };
    const as = (command: readonly string[], cwd = empty): Promise<Result> => {
      const drop = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
      const [program = "", ...args] = [...(uid === null ? [] : drop), ...command];
      return run(program, args, { cwd: cwd ?? "/", env: mine });
    };

    const [install = [], ...server] = commandsIn(blocks("")[2] ?? "");
    assert.deepEqual(install, ["npm", "install", "-g", "qmailctl"]);
    const global = ["install", "-g", "--prefix", prefix ?? "", tarball];
    if (!(await npm(t, global, { cwd: empty ?? "/" }))) return;

    // A server of the whole machine: here only what would be done, and by others than root not that.
    for (const command of server) {
      if (command[1] !== "install") continue;
      const { code, stdout, stderr } = await as([...command, "--dry-run"]);
      if (who === "root") assert.match(stdout, /Nothing was done|is as it should be/, stderr);
      else assert.match(stderr, /not root\n.*\n.*--sandbox --home DIR/);
      assert.equal(code, who === "root" ? 0 : 100);
    }

    const config = join(work ?? "", "qmailctl.config.ts");
    writeFileSync(config, blocks("ts")[0] ?? "");
    if (uid !== null) chownSync(config, uid, uid);
    const sandbox = ["--sandbox", "--home", join(work ?? "", "qmail")];
    const read = await as(["qmailctl", "install", "--dry-run", ...sandbox], work);
    assert.equal(read.code, 0, read.stderr);
    assert.match(read.stderr, /^(warning: the TLS key .*\n)*$/);

    // The same as `npm start`, in a directory of one's own; then all that the README shows of it.
    const own = ["--sandbox", "--home", join(empty ?? "", "qmail")];
    const listen = ["--listen", `127.0.0.1:${await freePort()}`];
    const made = await as(["qmailctl", "install", "--host", "mail.example.com", ...own, ...listen]);
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await as(["qmailctl", "start", ...own.slice(1)])).code, 0);
    const shown = commandsIn(blocks("")[1] ?? "").filter((words) => words.at(-1) !== "--follow");
    assert.ok(shown.length >= 5);
    for (const [npx, ...command] of shown) {
      assert.equal(npx, "npx");
      if (command[1] === "top") continue;
      const { code, stderr } = await as([...command, ...own.slice(1)]);
      assert.equal(code, 0, `${command.join(" ")}: ${stderr}`);
    }
  });
}
