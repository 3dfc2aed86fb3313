/** Neither a full todo directory holds deliveries up, nor do deliveries without end keep new mail out ("silly qmail"). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SendRig } from "./_send.ts";

const MESSAGES = 300;

/** Answers every delivery at once with `report` until `enough`. */
async function deliverUntil(rig: SendRig, report: string, enough: () => boolean): Promise<void> {
  while (!enough()) {
    await rig.until(() => rig.orders > 0 || enough(), "deliveries");
    while (rig.orders > 0) (await rig.order()).report(report);
  }
}

function places(rig: SendRig, pattern: RegExp): number[] {
  return rig.lines.flatMap((line, at) => (pattern.test(line) ? [at] : []));
}

for (const [kind, recipients] of [
  ["of one recipient", 1],
  ["of six recipients", 6],
] as const) {
  test(`${MESSAGES} messages ${kind} found in todo: deliveries go on while they are read`, async () => {
    await using rig = new SendRig({ concurrencyremote: "20\n" });
    const to = Array.from({ length: recipients }, (_, at) => `r${at}@far.test`);
    for (let at = 0; at < MESSAGES; at++) rig.todo("", to);
    await rig.start();
    const ended = () => places(rig, /^end msg /).length === MESSAGES;
    await deliverUntil(rig, "K\n", ended);
    const taken = places(rig, /^new msg /);
    const started = places(rig, /^starting delivery /);
    assert.ok((started[0] as number) < (taken[MESSAGES / 2] as number));
    assert.equal(places(rig, /^delivery \d+: success/).length, MESSAGES * recipients);
  });
}

test("new mail goes out while many old messages are tried again and again", async () => {
  await using rig = new SendRig({ concurrencyremote: "5\n" });
  for (let at = 0; at < MESSAGES; at++)
    rig.made({ sender: "", remote: ["Told@far.test"], retry: 1 });
  await rig.start();
  const sent: Promise<number>[] = [];
  let stop = false;
  const old = deliverUntil(rig, "Zlater\n", () => stop);
  for (let at = 0; at < 10; at++) {
    const before = places(rig, /^starting delivery/).length;
    // Everything old is due again.
    rig.signal("SIGALRM");
    sent.push(rig.put("", [`new${at}@far.test`]));
    await sent[at];
    await rig.line(new RegExp(`^starting delivery \\d+: msg \\d+ to remote new${at}@`));
    const others = places(rig, /^starting delivery/).length - before;
    assert.ok(others < MESSAGES, `${others} deliveries before the new one`);
  }
  stop = true;
  await old;
});
