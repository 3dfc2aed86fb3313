/** `qmailctl queue repair`: mends what check finds. Shows it first and asks. The daemons must be stopped. */

import { EXIT } from "../../qmail/exit.ts";
import { LockBusyError } from "../../qmail/files/lock.ts";
import type { Ids } from "../../qmail/ids.ts";
import { isUnmendable } from "../../qmail/queue/repair/examine.ts";
import { type Look, makeSteps, repairSteps, takeQueue } from "../../qmail/queue/repair/repair.ts";
import { CommandError, type Output, UsageError } from "../output.ts";
import { installedIds, look, report } from "./check.ts";
import { reportDrops } from "./drops.ts";
import { faultJson, oneFault, printFaults } from "./faults.ts";
import { count } from "./leftovers.ts";

/** The exit code when something stays wrong. */
const WRONG = 1;
/** What one round mends may uncover something else, as a killed repair that is ended first does. */
const ROUNDS = 4;

interface RepairOptions {
  readonly home: string;
  readonly output: Output;
  /** Do not ask. */
  readonly yes: boolean;
  /** Asks a person; null when there is none. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
}

/** Repairs the queue of the mail server in `home`. */
export async function queueRepair(options: RepairOptions): Promise<void> {
  const { home, output } = options;
  const ids = installedIds(home);
  const release = take(home);
  try {
    const mended: Look["faults"][number][] = [];
    let found = look(home, ids);
    for (let round = 0; found.faults.length > 0 && round < ROUNDS; round++) {
      refuseUnmendable(found, ids);
      const steps = repairSteps(found);
      printFaults(found.faults, output, ids);
      await ask(options, `Make ${count(steps.length, "change")}?`);
      mend(home, steps, ids);
      mended.push(...found.faults);
      found = look(home, ids);
    }
    output.data({
      ok: found.faults.length === 0,
      mended: mended.map((fault) => faultJson(fault, ids)),
      faults: found.faults.map((fault) => faultJson(fault, ids)),
      messages: found.messages,
      aside: found.survey.aside.size,
    });
    const drops = reportDrops(home, Date.now());
    report(found, { ...output, data: () => {} }, { ids, drops });
    if (found.faults.length > 0) process.exitCode = WRONG;
  } finally {
    release();
  }
}

function take(home: string): () => void {
  try {
    return takeQueue(home);
  } catch (error) {
    if (!(error instanceof LockBusyError)) {
      throw new CommandError(`cannot lock the queue: ${(error as Error).message}`, {
        hints: ["run it as root"],
        cause: error,
      });
    }
    throw new CommandError(`the queue is in use: ${error.message}`, {
      hints: ["stop it first: qmailctl stop", "to look only: qmailctl queue check"],
      cause: error,
    });
  }
}

async function ask({ yes, confirm }: RepairOptions, question: string): Promise<void> {
  if (yes) return;
  if (!confirm) {
    throw new UsageError("queue repair would change what is shown: nobody can be asked", [
      "go ahead: --yes",
    ]);
  }
  if (await confirm(question)) return;
  throw new CommandError("nothing was changed", { code: EXIT.hard });
}

function refuseUnmendable({ faults }: Look, ids: Ids): void {
  const links = faults.filter(isUnmendable);
  if (links.length === 0) return;
  throw new CommandError(`cannot repair a queue of symbolic links`, {
    hints: links.map((fault) => oneFault(fault, ids)),
  });
}

function mend(home: string, steps: Parameters<typeof makeSteps>[1], ids: Ids): void {
  try {
    makeSteps(home, steps, { ids });
  } catch (error) {
    throw new CommandError((error as Error).message, {
      hints: ["nothing is lost: when that is put right, run qmailctl queue repair again"],
      cause: error,
    });
  }
}
