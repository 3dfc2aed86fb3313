/** What qmail-send believes of the queue server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FRAME, formatFresh, formatName } from "../../../qmail/queue/protocol.ts";
import { QueueClerk } from "../../../qmail/send/queue-clerk.ts";
import { rawFrame } from "../net/_frames.ts";

const todo = Buffer.from("u0\0p1\0Fa@b\0Tc@d\0");

const NAMES = [
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

/** Each is no frame that a queue server sends. */
const MALFORMED: readonly Buffer[] = [
  ...NAMES.map((id) => rawFrame(FRAME.fresh.type, 0, formatFresh({ id, made: 1, size: 10, todo }))),
  rawFrame(FRAME.fresh.type, 0, Buffer.from("no zero at all")),
  rawFrame(FRAME.retract.type, 1, formatName({ id: "../x", made: 1 })),
  rawFrame(FRAME.result.type, 1, Buffer.alloc(4)),
  rawFrame(FRAME.cleaned.type, 1, Buffer.from("?")),
  rawFrame(FRAME.put.type, 1, Buffer.from("x")),
  rawFrame(99, 1, Buffer.alloc(0)),
];

test("what is no number of a message is no message, and whoever announces it is not heard further", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-clerk-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const server = createServer().listen(join(directory, "link"));
  await once(server, "listening");
  t.after(() => server.close());
  for (const malformed of MALFORMED) {
    const socket = connect(join(directory, "link"));
    const [peer] = (await once(server, "connection")) as [Socket];
    peer.on("error", () => {});
    const fresh: string[] = [];
    const gone = Promise.withResolvers<void>();
    const clerk = new QueueClerk(socket, {
      fresh: ({ id }) => fresh.push(id),
      scan() {},
      known: () => false,
      gone: gone.resolve,
    });
    const cleaned = clerk.clean(FRAME.cleanMess, { id: "1", made: 1 });
    const good = (id: string) =>
      rawFrame(FRAME.fresh.type, 0, formatFresh({ id, made: 1, size: 10, todo }));
    peer.write(Buffer.concat([good("4711"), malformed, good("4712")]));
    await gone.promise;
    assert.deepEqual(fresh, ["4711"]);
    assert.equal(await cleaned, false);
  }
});
