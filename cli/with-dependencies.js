// What `npm start` and `npm test` begin with on a fresh clone: installs the dependencies when they are
// missing, then runs the Node among them with the arguments given. Plain JavaScript for any Node.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const own = `${root}node_modules/node/bin/node`;
// npm writes it when everything is there: an installation that was interrupted is begun again.
const whole = `${root}node_modules/.package-lock.json`;

if (!existsSync(whole) || !existsSync(own)) {
  console.log("Installing the dependencies (once) ...");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (npm.status !== 0 || !existsSync(own)) {
    console.error("qmailctl: cannot install the dependencies: see what npm ci says");
    process.exit(111);
  }
}

const result = spawnSync(own, process.argv.slice(2), { cwd: root, stdio: "inherit" });
if (result.signal) process.kill(process.pid, result.signal);
process.exitCode = result.status === null ? 111 : result.status;
