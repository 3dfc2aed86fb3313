/** `qmailctl queue watch`: messages that come, are tried, wait, leave; a line each, as it happens. */

import { setTimeout as sleep } from "node:timers/promises";
import { fmtqfn } from "../../qmail/queue/fmtqfn.ts";
import { readMessage } from "../../qmail/queue/queue-read.ts";
import { LogFeed } from "../log/feed.ts";
import { livePaths } from "../log/live.ts";
import type { Output } from "../output.ts";
import { harmlessJson } from "../printable.ts";
import { EventChoice, type QueueFiles } from "./event-choice.ts";
import { eventJson, eventLine } from "./event-lines.ts";
import { type Finder, type QueueEvent, QueueEvents } from "./events.ts";
import { readHeader } from "./header.ts";
import { checkQueue } from "./select.ts";
import { compile, type Selection } from "./selection.ts";

export interface WatchOptions {
  readonly home: string;
  readonly selection: Selection;
  /** So many of the last lines come first. */
  readonly lines: number;
  readonly output: Output;
}

/** How far back the lines before now are looked for. */
const BACK_MS = 300_000;
const BACK_BYTES = 16 * 1024 * 1024;
/** How often the log is looked at: a person takes that for at once. */
const LOOK_MS = 200;

/** Shows what happens until a signal ends it. */
export async function queueWatch(options: WatchOptions): Promise<void> {
  const { home, selection, lines, output } = options;
  const logs = selection.log === undefined ? [] : [selection.log];
  if (logs.length === 0) checkQueue(home);
  const now = Date.now();
  const queue = `${home}/queue`;
  const events = new QueueEvents(finder(queue));
  const choice = new EventChoice(compile(selection, now), queueFiles(queue));
  const before: QueueEvent[] = [];
  let live = false;
  const feed = new LogFeed(
    () => livePaths(home, logs),
    { since: now - BACK_MS, bytes: BACK_BYTES },
    ({ ms, text }) => {
      const event = events.line(ms, text);
      for (const chosen of event ? choice.choose(event) : []) {
        if (live) show(chosen, output);
        else if (before.push(chosen) > 2 * lines) before.splice(0, before.length - lines);
      }
    },
  );
  const ended = new AbortController();
  const end = () => ended.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  try {
    await feed.read(now);
    live = true;
    for (const event of lines > 0 ? before.slice(-lines) : []) show(event, output);
    while (!ended.signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal: ended.signal }).catch(() => {});
      await feed.read(Date.now());
    }
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, end);
    feed.close();
  }
}

function show(event: QueueEvent, output: Output): void {
  // There is no end at which one document could be closed: a line is a document.
  if (output.json) process.stdout.write(`${harmlessJson(JSON.stringify(eventJson(event)))}\n`);
  else output.line(eventLine(event));
}

/** Messages that came before the log are in the queue, if we may look. */
function finder(queue: string): Finder {
  return (id) => {
    try {
      return readMessage(queue, id);
    } catch {
      return null;
    }
  };
}

function queueFiles(queue: string): QueueFiles {
  return {
    recipients: (id) => {
      try {
        return readMessage(queue, id)?.recipients ?? [];
      } catch {
        return [];
      }
    },
    header: (id) => {
      try {
        const message = readMessage(queue, id);
        return message && readHeader(`${queue}/${fmtqfn("mess", id)}`, message.made);
      } catch {
        return null;
      }
    },
  };
}
