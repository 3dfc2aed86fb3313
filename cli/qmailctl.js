#!/usr/bin/env node
// The launcher. Plain JavaScript that any Node can read: on one too old for the rest it hands over to
// the Node that the package brings for development, or says in one line what is needed.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NEEDED = [22, 19];

const [major, minor] = process.versions.node.split(".").map(Number);
const isOld = major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1]);

if (!isOld) {
  const source = new URL("./main.ts", import.meta.url);
  const compiled = new URL("../dist/cli/main.js", import.meta.url);
  try {
    const main = await import(existsSync(source) ? source.href : compiled.href);
    process.exitCode = await main.main(process.argv.slice(2));
  } catch (error) {
    const missing = /^Cannot find package '([^']+)'/.exec(error?.message ?? "")?.[1];
    if (missing === undefined) throw error;
    const root = fileURLToPath(new URL("..", import.meta.url));
    console.error(
      `qmailctl: its dependencies are not all there ("${missing}" is missing): run npm ci in ${root}`,
    );
    process.exitCode = 111;
  }
} else {
  const own = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));
  if (existsSync(own)) {
    const script = fileURLToPath(import.meta.url);
    const result = spawnSync(own, [script, ...process.argv.slice(2)], { stdio: "inherit" });
    if (result.signal) process.kill(process.pid, result.signal);
    process.exitCode = result.status === null ? 111 : result.status;
  } else {
    console.error(
      `qmailctl: needs Node ${NEEDED.join(".")} or newer, this is ${process.versions.node}: install a newer one from your system or nodejs.org`,
    );
    process.exitCode = 100;
  }
}
