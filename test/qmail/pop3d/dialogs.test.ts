/** Every POP3 conversation of test/dialogs, with the programs and with the service. */

import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, parseDialog, play } from "./_dialog.ts";
import { MailServer } from "./_mailserver.ts";

const DIALOGS = fileURLToPath(new URL("../../dialogs/", import.meta.url));

const DOORS = {
  programs: (server: MailServer) => server.programs(),
  service: (server: MailServer) => server.service("--without-tls", "--apop"),
};

for (const [door, begin] of Object.entries(DOORS)) {
  test(`dialogs: ${door}`, { timeout: 180_000 }, async (t) => {
    await using server = await MailServer.create();
    const port = await begin(server);
    for (const file of readdirSync(DIALOGS).filter((name) => name.endsWith(".pop3"))) {
      await t.test(file, async () => {
        server.empty();
        const dialog = parseDialog(readFileSync(join(DIALOGS, file), "latin1"));
        for (const { path, text } of dialog.messages) {
          server.deliver(path, text, 1_000_000 + Number.parseInt(path.slice(4), 10));
        }
        const client = new Client(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
        await play(dialog, client, () => server.left()).finally(() => client.destroy());
      });
    }
  });
}
