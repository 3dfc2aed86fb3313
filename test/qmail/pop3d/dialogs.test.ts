/** Every POP3 conversation of test/dialogs, with the programs and with the service. */

import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeCertificate, withoutOpenssl } from "../_certificate.ts";
import { Client, type Dialog, parseDialog, play } from "./_dialog.ts";
import { MailServer } from "./_mailserver.ts";

const DIALOGS = fileURLToPath(new URL("../../dialogs/", import.meta.url));

type Door = Dialog["doors"][number];

const DOORS: Readonly<Record<Door, (server: MailServer) => Promise<number>>> = {
  programs: (server) => server.programs(),
  service: (server) => server.service("--without-tls", "--apop"),
  "service-with-tls"(server) {
    const { certificate, key } = makeCertificate(server.home, "mail.test");
    return server.service("--apop", "--certificate", certificate, "--key", key);
  },
};

for (const [door, begin] of Object.entries(DOORS) as [Door, (typeof DOORS)[Door]][]) {
  const skip = door === "service-with-tls" && withoutOpenssl;
  test(`dialogs: ${door}`, { timeout: 180_000, skip }, async (t) => {
    await using server = await MailServer.create();
    const port = await begin(server);
    for (const file of readdirSync(DIALOGS).filter((name) => name.endsWith(".pop3"))) {
      const dialog = parseDialog(readFileSync(join(DIALOGS, file), "latin1"));
      if (!dialog.doors.includes(door)) continue;
      await t.test(file, async () => {
        server.empty();
        for (const { path, text } of dialog.messages) {
          server.deliver(path, text, 1_000_000 + Number.parseInt(path.slice(4), 10));
        }
        const client = new Client(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
        await play(dialog, client, server).finally(() => client.destroy());
      });
    }
  });
}
