/** A queue of any size, made in the files of qmail-queue and qmail-send by two threads. */

import { once } from "node:events";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { HIER } from "../qmail/hier.ts";
import { fmtqfn } from "../qmail/queue/fmtqfn.ts";

const BODY = `Received: (qmail 1 invoked from network); 1 Jan 2026 00:00:00 -0000\nSubject: to be read\n\n${"x".repeat(900)}\n`;
/** The first try lies in the future, as far as this. */
const RETRY_SECONDS = 3600;
const MAKERS = 2;
const DOMAINS = 200;

interface Making {
  readonly queue: string;
  readonly from: number;
  readonly to: number;
}

/** The directories of a queue in `home`. */
export function makeQueue(home: string): void {
  for (const { path, type } of HIER) {
    if (type === "directory" && path.startsWith("queue")) {
      mkdirSync(`${home}/${path}`, { recursive: true });
    }
  }
}

/**
 * Puts `messages` into `queue`, deferred on the remote channel and not due: number N is from
 * senderN@example.test. Three files of one block each: a million need 13 GB and 3 million inodes.
 */
export async function fillQueue(queue: string, messages: number): Promise<void> {
  const each = Math.ceil(messages / MAKERS);
  const makers = Array.from({ length: MAKERS }, (_, at) => {
    const making: Making = { queue, from: at * each, to: Math.min(messages, (at + 1) * each) };
    return once(new Worker(new URL(import.meta.url), { workerData: making }), "exit");
  });
  await Promise.all(makers);
}

function make({ queue, from, to }: Making): void {
  const now = Math.floor(Date.now() / 1000);
  for (let at = from; at < to; at++) {
    const temporary = `${queue}/pid/${at}`;
    const fd = openSync(temporary, "wx", 0o644);
    const id = String(fstatSync(fd, { bigint: true }).ino);
    writeSync(fd, BODY);
    closeSync(fd);
    renameSync(temporary, `${queue}/${fmtqfn("mess", id)}`);
    write(`${queue}/${fmtqfn("info", id)}`, `Fsender${at}@example.test\0`);
    const remote = `${queue}/${fmtqfn("remote", id)}`;
    write(remote, `Trecipient${at}@d${at % DOMAINS}.example.test\0`);
    utimesSync(remote, now, now + RETRY_SECONDS + (at % RETRY_SECONDS));
  }
}

function write(path: string, text: string): void {
  const fd = openSync(path, "wx", 0o600);
  writeSync(fd, text);
  closeSync(fd);
}

if (!isMainThread) make(workerData as Making);
