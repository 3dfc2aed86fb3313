/**
 * Every action in random order by five clients at once while mail flows at full speed, stopped and started in the
 * middle. QMAILCTL_TEST_LONG: ten minutes; QMAILCTL_TEST_SEED: the chances of an earlier run.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Chance } from "../../torture/chance.ts";
import { checkQueue } from "./_send.ts";
import { begun, begunAgainstOrders, Stress, unlawful } from "./_stress.ts";

const SECONDS = process.env.QMAILCTL_TEST_LONG ? 600 : 10;
const SEED = Number(process.env.QMAILCTL_TEST_SEED ?? Date.now() % 1_000_000);
const CLIENTS = 5;
const CRASHES = process.env.QMAILCTL_TEST_LONG ? 100 : 4;

test(`every message is delivered, bounced or deleted, as was answered (seed ${SEED})`, async (t) => {
  const stress = new Stress(new Chance(SEED));
  await using rig = stress.rig;
  await rig.start();
  const work = [
    stress.send(),
    stress.hold(),
    ...Array.from({ length: CLIENTS }, () => stress.act()),
  ];
  const ends = performance.now() + SECONDS * 1000;
  let looks = 0;
  for (let restarted = false; performance.now() < ends; looks++) {
    await sleep(250);
    assert.deepEqual(
      rig.freeze(() => unlawful(rig.queue)),
      [],
    );
    if (restarted || performance.now() < ends - SECONDS * 500) continue;
    await stress.restart();
    restarted = true;
  }
  stress.busy = false;
  await Promise.all(work);
  await stress.drain();
  rig.signal("SIGTERM");
  assert.equal(await rig.exit(), 0);
  const { ledger } = stress;
  assert.deepEqual(
    begun(rig.queue).filter((sender) => !ledger.unknown.has(sender)),
    [],
  );
  checkQueue(rig.queue);
  assert.deepEqual(ledger.close(), []);
  assert.deepEqual(begunAgainstOrders(stress.log), []);
  t.diagnostic(`${ledger.letters} messages, ${looks} looks at the files`);
  t.diagnostic(JSON.stringify(ledger.answers));
});

test(`killed in the middle of actions: nothing is lost, and every state is a legal one (seed ${SEED})`, async () => {
  const stress = new Stress(new Chance(SEED));
  await using rig = stress.rig;
  await rig.start();
  const work = [stress.send(), ...Array.from({ length: CLIENTS }, () => stress.act())];
  for (let crashes = 0; crashes < CRASHES; crashes++) {
    await sleep(800);
    await stress.crash();
  }
  stress.busy = false;
  await Promise.all(work);
  await stress.drain();
  assert.deepEqual(
    rig.freeze(() => unlawful(rig.queue)),
    [],
  );
  const lost = stress.ledger.lost();
  const about = (name: string) => stress.log.filter((line) => line.includes(`${name}@`));
  assert.deepEqual(
    lost.map((name) => [name, ...about(name), ...about(name.replace(/r.*/, ""))]),
    [],
  );
});
