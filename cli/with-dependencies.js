// What `npm start` and `npm test` begin with on a fresh clone: installs the dependencies when they are
// missing, then runs the Node among them with the arguments given. Plain JavaScript for any Node.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const own = `${root}node_modules/node/bin/node`;
// npm writes it when everything is there: an installation that was interrupted is begun again.
const whole = `${root}node_modules/.package-lock.json`;

const SAY_MS = 10_000;

// npm tries three times with up to a minute between, and says nothing meanwhile.
const PATIENCE = ["--fetch-retries=1", "--fetch-retry-mintimeout=2000", "--fetch-timeout=60000"];

if (!existsSync(whole) || !existsSync(own)) await installDependencies();

const result = spawnSync(own, process.argv.slice(2), { cwd: root, stdio: "inherit" });
if (result.signal) process.kill(process.pid, result.signal);
process.exitCode = result.status === null ? 111 : result.status;

async function installDependencies() {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  console.error("Installing the dependencies with npm ci (once, from the npm registry) ...");
  const saying = setInterval(
    () => console.error(`... npm ci is at work still (${seconds()} s)`),
    SAY_MS,
  );
  const args = [
    "ci",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--loglevel=error",
    ...PATIENCE,
  ];
  const npm = spawn("npm", args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  const failed = await new Promise((resolve) => {
    npm.on("error", (error) => resolve(`npm cannot be run: ${error.message}`));
    npm.on("exit", (code) => resolve(code === 0 ? null : `npm ci has failed after ${seconds()} s`));
  });
  clearInterval(saying);
  if (failed === null && existsSync(own)) return;
  const lacking = failed ?? `npm ci has left no "${own}"`;
  console.error(
    `qmailctl: the dependencies are missing, and cannot be installed: ${lacking}\n` +
      "  they come from the npm registry (npm config get registry): this machine must reach it once,\n" +
      "  or have them in npm's cache; then try again, or run npm ci to see more",
  );
  process.exit(111);
}
