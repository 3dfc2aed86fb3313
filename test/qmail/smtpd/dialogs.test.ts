/** Every conversation of test/dialogs, with the engine, the service and the classic door. */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withoutOpenssl } from "../_certificate.ts";
import { parseDialog, play } from "./_dialog.ts";
import { DOORS, makeHome } from "./_doors.ts";

const DIALOGS = fileURLToPath(new URL("../../dialogs/", import.meta.url));

for (const file of readdirSync(DIALOGS).filter((name) => name.endsWith(".smtp"))) {
  const dialog = parseDialog(readFileSync(join(DIALOGS, file), "latin1"));
  const skip = dialog.certificate && withoutOpenssl;
  for (const [door, begin] of Object.entries(DOORS)) {
    if (dialog.inOnePiece && door.includes("byte")) continue;
    if (dialog.doors.length > 0 && !dialog.doors.includes(door)) continue;
    test(`${file}: ${door}`, { timeout: 60_000, skip }, async () => {
      const home = makeHome(dialog);
      try {
        const driver = await begin(dialog, home);
        // A conversation that went wrong must not leave a server behind.
        await play(dialog, driver).finally(() => driver.close());
      } finally {
        // A program that stands for the queue may still be writing what nobody wants any more.
        rmSync(home, { recursive: true, force: true, maxRetries: 5 });
      }
    });
  }
}
