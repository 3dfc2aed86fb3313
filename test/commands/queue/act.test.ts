/** What a person sees of actions, where the words come from others. */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { queueAct } from "../../../commands/queue/act.ts";
import { heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import { ASK, encode, FROM_ASKER, SEND_SOCKET } from "../../../qmail/send/action-protocol.ts";
import { SendRig } from "../../qmail/send/_send.ts";
import { Captured } from "../_output.ts";

const EVIL = "\u001b]0;title\u0007\u001b[2J\n\u009b";

test("neither qmail-send's reasons nor names of senders and recipients reach the terminal raw", async () => {
  await using rig = new SendRig();
  rig.made({ sender: `ann${EVIL}@from.test`, remote: [`Tbob${EVIL}@to.test`] });
  // As somebody who is qmails would answer.
  const server = createServer((socket) => {
    const link: Link = new Link(socket, {
      hears: heard(FROM_ASKER, {
        act: ({ targets }, id) => {
          const outcome = "refused" as const;
          const answers = targets.map((target) => ({ ...target, outcome, reason: EVIL }));
          link.send(ASK.answers, id, encode(answers));
        },
        flush() {},
        status() {},
      }),
      close: () => socket.destroy(),
    });
  });
  await new Promise<void>((resolve) => server.listen(join(rig.home, SEND_SOCKET), resolve));
  try {
    const output = new Captured();
    const options = { home: rig.home, output, selection: {}, all: true, whole: false, wait: 0 };
    const action = { type: "delete" } as const;
    await queueAct({ ...options, action, yes: false, dryRun: true, confirm: null });
    assert.match(output.text, /ann\?.*bob\?/);
    await assert.rejects(
      queueAct({ ...options, action, yes: true, dryRun: false, confirm: null }),
      /1 message not touched/,
    );
    assert.match(output.notes, /^\d+: \?\]0;title/);
    assert.match(output.text + output.notes, /^[ -~\n\ufffd]*$/);
  } finally {
    server.close();
  }
});
