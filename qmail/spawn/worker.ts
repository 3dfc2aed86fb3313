/**
 * The inner door of qmail-local and qmail-remote: a process that a spawner starts once and gives
 * deliveries over descriptor 3, until the spawner closes it.
 */

import { Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { Link } from "../net/link.ts";
import type { Message } from "./message.ts";
import type { Flow } from "./protocol.ts";
import type { WorkReport } from "./report.ts";
import { parseOrder, WORK } from "./worker-protocol.ts";

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
    frame: (type, id, payload) => {
      if (type === WORK.start) void perform(id, Buffer.from(payload));
      else if (type === WORK.piece) {
        const resolve = asked.get(id);
        asked.delete(id);
        resolve?.(Buffer.from(payload));
      } else if (type === WORK.flush) worker.flush?.(payload.toString("latin1"));
      else if (type === WORK.leave) worker.leave?.();
      else if (type === WORK.ping) link.send(WORK.pong, 0);
    },
    close: () => process.exit(EXIT.ok),
  });

  const worker = begin({
    hold: (host) => link.send(WORK.hold, 0, host),
    free: (host) => link.send(WORK.free, 0, host),
  });

  const piece = (id: number, position: number): Promise<Buffer> => {
    const payload = Buffer.allocUnsafe(8);
    payload.writeDoubleBE(position, 0);
    link.send(WORK.more, id, payload);
    return new Promise((resolve) => asked.set(id, resolve));
  };

  const perform = async (id: number, payload: Buffer) => {
    const { fields, size, inline } = parseOrder(payload);
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
    link.send(WORK.report, id, report.status + report.text);
  };
}

function trouble(error: unknown): WorkReport {
  process.stderr.write(`warning: ${process.title}: ${(error as Error).stack}\n`);
  return { status: "Z", text: `Internal trouble: ${(error as Error).message}. (#4.3.0)\n` };
}
