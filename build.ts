/** `npm run build`: the compiled package in dist/. */

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
// Left by an npm pack that was killed (shrinkwrap.ts).
rmSync("npm-shrinkwrap.json", { force: true });
execFileSync("tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
