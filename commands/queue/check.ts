/** `qmailctl queue check`: whether the queue is as it should be; changes nothing, and may run at any time. */

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Ids, readIds } from "../../qmail/ids.ts";
import type { Fault } from "../../qmail/queue/repair/examine.ts";
import { hasReader, type Look, lookAtQueue } from "../../qmail/queue/repair/repair.ts";
import { CommandError, type Output } from "../output.ts";
import { checkInstalled } from "../supervisor.ts";
import { type DropReport, reportDrops } from "./drops.ts";
import { faultJson, printFaults } from "./faults.ts";
import { count, describeLeftovers } from "./leftovers.ts";

/** The exit code when something is wrong. */
const WRONG = 1;
/** From the first look to the second: what was under way is done by then. */
const AGAIN_MS = 1000;

/** Checks the queue of the mail server in `home`; the exit code is 1 when something is wrong. */
export async function queueCheck({ home, output }: { home: string; output: Output }) {
  const ids = installedIds(home);
  const found = await lookTwice(home, ids);
  const running = hasReader(home);
  const drops = reportDrops(home, Date.now());
  report(found, output, { ids, drops });
  if (running && drops.stuck) {
    process.exitCode = WRONG;
    output.line("Something keeps the messages in drop: qmailctl log show --grep drop");
  }
  if (found.faults.length === 0) return;
  process.exitCode = WRONG;
  output.line(
    `Mend it with qmailctl queue repair${running ? ", after qmailctl stop" : ""}: it shows what it will do, and asks.`,
  );
}

/** Who is who in `home`. Throws CommandError when there is no queue. */
export function installedIds(home: string): Ids {
  // A C qmail's will do.
  if (!existsSync(`${home}/queue`)) {
    checkInstalled(home);
    throw new CommandError(`there is no queue in ${home}`, {
      hints: ["make one: qmailctl install"],
    });
  }
  try {
    return readIds(home);
  } catch (error) {
    throw new CommandError((error as Error).message, { cause: error });
  }
}

/** As `lookAtQueue`. Throws CommandError when we may not. */
export function look(home: string, ids: Ids): Look {
  try {
    return lookAtQueue(home, Date.now() / 1000, ids);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES") throw error;
    throw new CommandError(`cannot read the queue: ${message}`, {
      hints: ["the queue is closed to others: run it as root"],
      cause: error,
    });
  }
}

/** What the daemons are doing just now is no fault: only what is found twice. */
async function lookTwice(home: string, ids: Ids): Promise<Look> {
  const first = look(home, ids);
  const known = new Set([...first.faults.map(keyOf), ...first.leftovers.orphans]);
  if (known.size === 0) return first;
  await sleep(AGAIN_MS);
  const second = look(home, ids);
  const { leftovers } = second;
  return {
    ...second,
    faults: second.faults.filter((fault) => known.has(keyOf(fault))),
    leftovers: { ...leftovers, orphans: leftovers.orphans.filter((path) => known.has(path)) },
  };
}

/** The same for the same fault of the same files. */
function keyOf(fault: Fault): string {
  switch (fault.fault) {
    case "interrupted":
      return fault.fault;
    case "place":
    case "broken":
      return `${fault.fault} ${fault.files.map(({ path, ino }) => `${path} ${ino}`).join(" ")}`;
    case "access":
    case "stray":
      return `${fault.fault} ${fault.path} ${fault.found.ino}`;
    default:
      return `${fault.fault} ${fault.path}`;
  }
}

/** Shows what was found. */
export function report(
  { faults, leftovers, messages, survey }: Look,
  output: Output,
  { ids, drops }: { ids: Ids; drops: DropReport },
) {
  output.data({
    ok: faults.length === 0,
    messages,
    faults: faults.map((fault) => faultJson(fault, ids)),
    leftovers,
    drops: survey.drops.length,
    dropsWaiting: drops.waiting,
    aside: survey.aside.size,
  });
  printFaults(faults, output, ids);
  for (const line of describeLeftovers(leftovers)) output.line(line);
  for (const line of drops.lines) output.line(line);
  if (survey.aside.size > 0) {
    output.line(`${count(survey.aside.size, "file")} in queue/lost+found, for you to look at`);
  }
  if (faults.length === 0) {
    output.line(`The queue is as it should be: ${count(messages, "message")}.`);
  }
}
