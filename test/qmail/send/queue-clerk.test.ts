/** What qmail-send believes of the queue server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Link } from "../../../qmail/net/link.ts";
import { FRAME, formatFresh } from "../../../qmail/queue/protocol.ts";
import { QueueClerk } from "../../../qmail/send/queue-clerk.ts";

test("what is no number of a message is no message, however it was announced", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-clerk-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const server = createServer().listen(join(directory, "link"));
  await once(server, "listening");
  const socket = connect(join(directory, "link"));
  const [peer] = (await once(server, "connection")) as [Socket];
  const fresh: string[] = [];
  const scanned = Promise.withResolvers<void>();
  new QueueClerk(socket, {
    fresh: ({ id }) => fresh.push(id),
    scan: scanned.resolve,
    known: () => false,
    gone() {},
  });
  const link = new Link(peer, { frame() {}, close() {} });
  const todo = Buffer.from("u0\0p1\0Fa@b\0Tc@d\0");
  const names = [
    "../../run/x",
    "0",
    "07",
    "1/2",
    "",
    "1e3",
    "-1",
    "184467440737095516160",
    "12 ",
    "x",
  ];
  for (const id of names) link.send(FRAME.fresh, 0, formatFresh({ id, made: 1, size: 10, todo }));
  link.send(FRAME.fresh, 0, Buffer.from("no zero at all"));
  link.send(FRAME.fresh, 0, formatFresh({ id: "4711", made: 1, size: 10, todo }));
  link.send(FRAME.scan, 0);
  await scanned.promise;
  assert.deepEqual(fresh, ["4711"]);
  link.end();
  server.close();
});
