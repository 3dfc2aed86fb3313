/** What qmail-lspawn and qmail-rspawn share: orders from qmail-send on descriptor 3, and the messages (C qmail: spawn.c). */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Socket } from "node:net";
import { formatUint32, heard } from "../net/frames.ts";
import { Link, Refusal } from "../net/link.ts";
import { fmtqfn } from "../queue/fmtqfn.ts";
import { madeOf } from "../queue/made.ts";
import { warn } from "../warn.ts";
import {
  type Delivery,
  type Flow,
  REPORT_MAX,
  SPAWN,
  SPAWN_LIMIT,
  TO_SPAWNER,
} from "./protocol.ts";
import type { Report } from "./report.ts";
import type { OpenMessage } from "./worker-process.ts";
import { INLINE_MAX } from "./worker-protocol.ts";

/** Where reports are cut, so that no program's output floods log and bounce. */
const TRUNCATED = "\nError report too long, sorry.\n";

export interface Spawn {
  readonly messid: string;
  /** Which message of that number (queue/made.ts). */
  readonly made: number;
  readonly sender: string;
  /** The recipient's part before its last @, and the part behind. */
  readonly local: string;
  readonly host: string;
  /** Opens the message that is meant; who waits for his turn does that when it has come. A report: it cannot be. */
  open(): OpenMessage | Report;
  /** False when qmail-send has gone: what has not begun is begun by its successor. */
  wanted(): boolean;
  /** It waits for something of its own user's, and takes no slot of others, or goes on. */
  waits(waits: boolean): void;
}

export interface SpawnerOptions {
  /** The qmail home. */
  readonly home: string;
  /** Owner that messages must have. */
  readonly owner: number;
  /** Starts one delivery; `done` must be called once. Who opens the message closes its `fd`. */
  spawn(delivery: Spawn, done: (report: Report) => void): void;
  /** A domain, or "" for all, is to be tried again whatever is known against it. */
  flush?(host: string): void;
  /** So many deliveries take slots at once. */
  limit?(most: number): void;
  /** Nothing more will come; what can be put off is to be put off soon. */
  leave?(): void;
  /** No more orders will come and none is under way. */
  finished(): void;
}

/** Serves qmail-send until it is gone and everything under way is finished. Returns what asks it for pauses. */
export function serveSpawner(options: SpawnerOptions): Flow {
  let underWay = 0;
  let ended = false;
  const leave = () => {
    if (ended && underWay === 0) options.finished();
  };
  const link: Link = new Link(new Socket({ fd: 3 }), {
    guarded: true,
    hears: heard(TO_SPAWNER, {
      deliver: (delivery, delnum) => {
        underWay++;
        order(options, delivery, {
          done: (report) => {
            underWay--;
            link.send(SPAWN.report, delnum, formatReport(report));
            leave();
          },
          wanted: () => !ended,
          waits: (waits) => link.send(SPAWN.waits, delnum, waits ? "1" : "0"),
        });
      },
      flush: (host) => options.flush?.(host),
      limit: (most) => options.limit?.(most),
      leave: () => options.leave?.(),
    }),
    close: (error) => {
      if (error instanceof Refusal)
        warn(`ended the link to qmail-send, which said ${error.message}`);
      ended = true;
      // Nobody will hear of what is still waited for.
      options.leave?.();
      leave();
    },
  });
  link.send(SPAWN.hello, 0, formatUint32(SPAWN_LIMIT));
  return {
    hold: (host) => link.send(SPAWN.hold, 0, host),
    free: (host) => link.send(SPAWN.free, 0, host),
  };
}

/** What is said of one order. */
interface Order extends Pick<Spawn, "wanted" | "waits"> {
  done(report: Report): void;
}

function order(options: SpawnerOptions, delivery: Delivery, { done, wanted, waits }: Order): void {
  const { messid, made, sender, recipient } = delivery;
  const at = recipient.lastIndexOf("@");
  if (at < 0) {
    done({ status: "D", text: "Sorry, address must include host name. (#5.1.3)\n" });
    return;
  }
  const [local, host] = [recipient.slice(0, at), recipient.slice(at + 1)];
  const open = () => openMessage(delivery, options);
  options.spawn({ messid, made, sender, local, host, open, wanted, waits }, done);
}

/**
 * The text of the message that is meant. An order may have waited, here or on its way, until its number was another
 * message's: that one's text is not for these recipients.
 */
function openMessage(
  { messid, made }: Delivery,
  { home, owner }: SpawnerOptions,
): OpenMessage | Report {
  let fd = -1;
  try {
    // qmailq may put anything there: no link is followed, no FIFO waited for.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    fd = openSync(`${home}/queue/${fmtqfn("mess", messid)}`, flags);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new SpawnTrouble("Sorry, message has wrong type. (#4.3.5)");
    if (madeOf(stat) !== made) throw new SpawnTrouble("Sorry, message is another one. (#4.3.5)");
    // Whoever could put files here would have their bytes delivered by root.
    if (stat.uid !== owner) throw new SpawnTrouble("Sorry, message has wrong owner. (#4.3.5)");
    if (stat.size > INLINE_MAX) return { size: stat.size, inline: Buffer.alloc(0), fd };
    const inline = readWhole(fd, stat.size);
    closeSync(fd);
    return { size: inline.length, inline, fd: -1 };
  } catch (error) {
    if (fd >= 0) closeSync(fd);
    const text =
      error instanceof SpawnTrouble
        ? error.message
        : "qmail-spawn unable to open message. (#4.3.0)";
    return { status: "Z", text: `${text}\n` };
  }
}

class SpawnTrouble extends Error {}

function readWhole(fd: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let done = 0;
  while (done < size) {
    const count = readSync(fd, bytes, done, size - done, done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

function formatReport({ status, text }: Report): string {
  const short =
    text.length > REPORT_MAX ? text.slice(0, REPORT_MAX - TRUNCATED.length - 3) + TRUNCATED : text;
  return status + short;
}
