/** A world for the programs of qmail/inject: a home with control files, a queue that remembers. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { Context } from "../../../qmail/inject/context.ts";
import type { QueueDoor, QueueResult } from "../../../qmail/queue/qmail.ts";

/** 9 September 2001, 01:46:40 UTC. */
export const NOW = 1_000_000_000;

export const CONTROL: Readonly<Record<string, string>> = {
  me: "me.example.org",
  defaulthost: "host",
  defaultdomain: "dom.example",
  plusdomain: "plus.example",
  idhost: "id.example",
};

/** A new home with these control files, removed after the tests. */
export function makeHome(control: Readonly<Record<string, string>> = CONTROL): string {
  const home = mkdtempSync(join(tmpdir(), "qmail-inject-"));
  after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, "control"));
  for (const [name, text] of Object.entries(control)) {
    writeFileSync(join(home, "control", name), `${text}\n`, "latin1");
  }
  return home;
}

/** A queue that keeps the last message and answers `result`. */
export class FakeQueue implements QueueDoor {
  readonly result: QueueResult;
  message: string | null = null;
  sender: string | null = null;
  recipients: readonly string[] = [];
  aborted = false;
  /** True between a `put` and the `drained` that follows, for a door that takes one piece at a time. */
  narrow = false;
  putWhileFull = 0;
  longestPut = 0;

  constructor(result: QueueResult = { ok: true, qp: 77 }) {
    this.result = result;
  }

  open() {
    const pieces: Buffer[] = [];
    const queue = this;
    return {
      full: false,
      put(bytes: Buffer) {
        if (this.full) queue.putWhileFull++;
        this.full = queue.narrow;
        queue.longestPut = Math.max(queue.longestPut, bytes.length);
        if (!queue.narrow) pieces.push(bytes);
      },
      async drained() {
        this.full = false;
      },
      async close(sender: string, recipients: readonly string[]) {
        queue.message = Buffer.concat(pieces).toString("latin1");
        queue.sender = sender;
        queue.recipients = recipients;
        return queue.result;
      },
      abort() {
        queue.aborted = true;
      },
    };
  }
}

export interface World extends Context {
  readonly fake: FakeQueue;
  /** What was printed so far. */
  readonly printed: { text: string };
}

/** A context with `input` in the given pieces. */
export function world(
  home: string,
  input: string | readonly string[] | AsyncIterable<Buffer>,
  options: { env?: Record<string, string>; fake?: FakeQueue } = {},
): World {
  const fake = options.fake ?? new FakeQueue();
  const printed = { text: "" };
  return {
    env: options.env ?? { USER: "usr" },
    input: isStream(input) ? input : pieces(input),
    home,
    queue: () => Promise.resolve(fake),
    async print(bytes) {
      printed.text += bytes.toString("latin1");
    },
    now: NOW,
    pid: 42,
    fake,
    printed,
  };
}

function isStream(input: object | string): input is AsyncIterable<Buffer> {
  return typeof input === "object" && Symbol.asyncIterator in input;
}

async function* pieces(input: string | readonly string[]): AsyncGenerator<Buffer> {
  for (const piece of typeof input === "string" ? [input] : input) {
    yield Buffer.from(piece, "latin1");
  }
}
