/** A config file knows "qmailctl" and is a module, wherever it lies. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LAUNCHER, run } from "../site/_site.ts";

const CONFIG = `import { defineConfig } from "qmailctl";
import { aliases } from "./parts/aliases.ts";

export default defineConfig({ home: "./qmail", sandbox: true, host: "mail.example.test", aliases });
`;
const ALIASES = `import { defineConfig } from "qmailctl";
export const aliases: Record<string, string> = { postmaster: typeof defineConfig };
`;

for (const [where, around] of [
  ["without a package.json", null],
  ["in a package of CommonJS", '{ "type": "commonjs" }'],
  ["in a package that says nothing", "{}"],
  ["in a package of modules", '{ "type": "module" }'],
  ["in a package that has our name", '{ "name": "qmailctl", "exports": "./none.js" }'],
] as const) {
  test(`a config file ${where}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "qmailctl-config-"));
    t.after(() => rmSync(directory, { recursive: true }));
    mkdirSync(join(directory, "parts"));
    writeFileSync(join(directory, "qmailctl.config.ts"), CONFIG);
    writeFileSync(join(directory, "parts/aliases.ts"), ALIASES);
    if (around !== null) writeFileSync(join(directory, "package.json"), around);
    const args = [LAUNCHER, "install", "--dry-run"];
    const { code, stderr } = await run(process.execPath, args, { cwd: directory });
    assert.deepEqual([code, stderr], [0, ""]);
  });
}
