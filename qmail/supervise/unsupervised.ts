/** Stopping what runs without a supervisor. */

import { closeSync, openSync } from "node:fs";
import { LockBusyError, lockWaiting } from "../files/lock.ts";
import { account, LOCK_FILE, seesAll } from "./account.ts";
import { endHelpers, endServices, type Telling } from "./ending.ts";
import { openFifo } from "./fifo.ts";
import { LogWriter } from "./log-writer.ts";

/** A supervisor that has just begun answers before this is over. */
const LOCK_SECONDS = 5;

/**
 * Ends everything that runs in `home` without a supervisor, in the supervisor's order and under its lock, so none begins
 * meanwhile. Resolves with how many services and helpers there were; with null when somebody else has the lock.
 */
export async function stopUnsupervised(home: string, telling: Telling): Promise<number | null> {
  const { supervisor, helpers, services } = account(home);
  if (seesAll(home) && !supervisor && helpers.length + services.length === 0) return 0;
  const back = process.cwd();
  process.chdir(home);
  const fd = openSync(LOCK_FILE, "a", 0o600);
  try {
    await lockWaiting(fd, LOCK_SECONDS);
    return await endAll(telling);
  } catch (error) {
    if (error instanceof LockBusyError) return null;
    throw error;
  } finally {
    closeSync(fd);
    process.chdir(back);
  }
}

async function endAll(telling: Telling): Promise<number> {
  const left = account(".");
  const names = left.services.map(({ service }) => service);
  // What is in a FIFO goes with the last who holds it.
  const fifos = names.map((name) => openFifo(`run/log.${name}`));
  // The keeper first, or it would start another supervisor.
  await endHelpers(left);
  if (names.length > 0) {
    const logs = new LogWriter({ names, started() {}, again() {} });
    logs.start();
    await endServices(".", telling);
    await logs.end();
  }
  for (const fifo of fifos) closeSync(fifo);
  return names.length + left.helpers.length;
}
