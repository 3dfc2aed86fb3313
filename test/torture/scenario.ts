/** What happens in a tortured site: letters by every door, to every kind of end, in two rounds. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatEnvelope } from "../../qmail/queue/envelope.ts";
import { localQueue } from "../../qmail/queue/local-queue.ts";
import { networkQueue } from "../../qmail/queue/network-queue.ts";
import type { QueueDoor } from "../../qmail/queue/qmail.ts";
import { type Letter, letter } from "./letters.ts";
import type { Plan } from "./plan.ts";
import type { Site } from "./site.ts";

/** Larger than what is kept in memory or as a spare, and than what travels with an order. */
const LARGE = 150_000;

/** The letters of the first round; `prefix` makes their tokens unique. */
export function firstRound(prefix: string): Letter[] {
  const boxes = ["box-1", "box-2", "box-3", "box-4", "box-5", "later-6"];
  return [
    letter(`${prefix}-straight`, { boxes: ["box-a"] }),
    letter(`${prefix}-settled`, { boxes }),
    letter(`${prefix}-mbox`, { boxes: ["mbox"], size: 70_000 }),
    letter(`${prefix}-bounce`, { boxes: ["nobody", "box-b"] }),
    // Written down with its failure; and one whose failure is added to what is written down.
    letter(`${prefix}-begun`, { boxes: ["nobody-b", "later-7"] }),
    letter(`${prefix}-added`, { boxes: ["nobody-a", "box-6", "box-7", "box-8", "later-8"] }),
    letter(`${prefix}-large`, { boxes: ["box-l"], size: LARGE }),
    letter(`${prefix}-double`, { sender: "nobody-s", boxes: ["nobody-d"] }),
    letter(`${prefix}-forward`, { boxes: ["forward"] }),
  ];
}

/** The letters of the second: they find the files of the first. */
export function secondRound(prefix: string): Letter[] {
  return [
    letter(`${prefix}-longer`, { boxes: ["box-c", "box-d"], size: 5000 }),
    letter(`${prefix}-shorter`, { boxes: ["mbox"], size: 100 }),
    letter(`${prefix}-spare-bounce`, { boxes: ["nobody"], size: 1000 }),
  ];
}

/** One letter by a local user's door. */
export function localLetter(prefix: string): Letter {
  return letter(`${prefix}-local`, { boxes: ["box-x"] });
}

/** Who is told what happens to letters. */
export interface Witness {
  sent(letter: Letter): void;
  answered(letter: Letter): void;
}

/** Puts `letter` in by `door`. */
export async function put(door: QueueDoor, letter: Letter, witness: Witness): Promise<void> {
  witness.sent(letter);
  const message = door.open();
  message.put(Buffer.from(letter.text, "latin1"));
  const result = await message.close(letter.sender, letter.recipients);
  if (result.ok) witness.answered(letter);
}

/** What qmail-queue, the program, left with; null when it was killed. */
export async function putByProgram(
  site: Site,
  { letter, plan }: { letter: Letter; plan: Omit<Plan, "site"> | null },
  witness: Witness,
): Promise<number | null> {
  witness.sent(letter);
  const envelope = formatEnvelope(letter).toString("latin1");
  const input = [letter.text, envelope].map((text, number) => {
    const path = join(site.home, `input${number}`);
    writeFileSync(path, text, "latin1");
    return openSync(path, "r");
  });
  const child = spawn(process.execPath, site.program("queue/qmail-queue", plan), {
    env: site.env(plan),
    stdio: [...input, "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  for (const fd of input) closeSync(fd);
  if (code === 0) witness.answered(letter);
  return code;
}

/** The whole play, its local letter by a watched program when there is a plan, until nothing is left to do or the site is dead. */
export async function play(
  site: Site,
  prefix: string,
  { plan = null, ...witness }: Witness & { readonly plan?: Omit<Plan, "site"> | null },
): Promise<void> {
  const network = networkQueue(site.home);
  const gone = site.gone();
  await Promise.race([network.connect(), gone]);
  try {
    site.defer(true);
    const first = firstRound(prefix).map((each) => put(network, each, witness));
    const local = plan
      ? putByProgram(site, { letter: localLetter(prefix), plan }, witness)
      : put(localQueue(site.home, {}), localLetter(prefix), witness);
    await Promise.all([...first, local]);
    await deferral(site);
    site.defer(false);
    if (!(await site.idle())) return;
    await Promise.all(secondRound(prefix).map((each) => put(network, each, witness)));
    await site.idle();
  } finally {
    site.defer(false);
    network.end();
  }
}

/** Waits until something was deferred, for a moment: after a crash it may never be. */
async function deferral(site: Site): Promise<void> {
  for (let count = 0; count < 50 && site.running && !site.log.includes("deferral:"); count++) {
    await sleep(4);
  }
}
