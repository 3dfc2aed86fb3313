/**
 * The inner door of qmail-local and qmail-remote: a process that a spawner starts once and gives
 * deliveries over descriptor 3, until the spawner closes it.
 */

import { Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { warn } from "../warn.ts";
import type { Message } from "./message.ts";
import type { Flow } from "./protocol.ts";
import type { WorkReport } from "./report.ts";
import { formatPosition, type Order, REPORT_MAX, TO_WORKER, WORK } from "./worker-protocol.ts";

/**
 * One delivery. May throw: that counts as temporary trouble. `waits` is to be called with true when it waits for
 * something that only its own user is held up by, and with false when it goes on.
 */
export type Work = (
  fields: readonly string[],
  message: Message,
  waits: (waits: boolean) => void,
) => Promise<WorkReport>;

/** What a worker does. */
export interface Worker {
  readonly work: Work;
  /** A domain, or "" for all, is to be tried again whatever is known against it. */
  flush?(host: string): void;
  /** Nothing more will come; what can be put off is to be put off soon. */
  leave?(): void;
}

/** Serves deliveries until the spawner is gone; never returns. `begin` makes the worker, which may ask for pauses. */
export function serveWork(begin: (flow: Flow) => Worker): void {
  const asked = new Map<number, (piece: Buffer) => void>();
  const link: Link = new Link(new Socket({ fd: 3 }), {
    hears: heard(TO_WORKER, {
      start: (order, id) => void perform(id, { ...order, inline: Buffer.from(order.inline) }),
      piece: (piece, id) => {
        const resolve = asked.get(id);
        asked.delete(id);
        resolve?.(Buffer.from(piece));
      },
      flush: (host) => worker.flush?.(host),
      leave: () => worker.leave?.(),
      ping: () => link.send(WORK.pong, 0),
    }),
    close: () => process.exit(EXIT.ok),
  });

  const worker = begin({
    hold: (host) => link.send(WORK.hold, 0, host),
    free: (host) => link.send(WORK.free, 0, host),
  });

  const piece = (id: number, position: number): Promise<Buffer> => {
    link.send(WORK.more, id, formatPosition(position));
    return new Promise((resolve) => asked.set(id, resolve));
  };

  const perform = async (id: number, { fields, size, inline }: Order) => {
    const message: Message = {
      size,
      async *chunks() {
        if (inline.length > 0) yield inline;
        for (let at = inline.length; at < size; ) {
          const bytes = await piece(id, at);
          if (bytes.length === 0) throw new Error("message cannot be read");
          yield bytes;
          at += bytes.length;
        }
      },
    };
    const waits = (waiting: boolean) => link.send(WORK.waits, id, waiting ? "1" : "0");
    const report = await worker.work(fields, message, waits).catch(trouble);
    if (report.progress) link.send(WORK.progress, id, report.progress);
    link.send(WORK.report, id, report.status + report.text.slice(0, REPORT_MAX));
  };
}

function trouble(error: unknown): WorkReport {
  warn(String((error as Error).stack));
  return { status: "Z", text: `Internal trouble: ${(error as Error).message}. (#4.3.0)\n` };
}
