/** What the tests of qmail-smtpd stand on: a home with control files, and a queue that is an array. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pace } from "../../../qmail/checkpassword/pace.ts";
import type { Wire } from "../../../qmail/net/connection.ts";
import { type Qmail, type QueueDoor, queueFailure } from "../../../qmail/queue/qmail.ts";
import type { SmtpdControls } from "../../../qmail/smtpd/controls.ts";
import { readSmtpdControls } from "../../../qmail/smtpd/controls.ts";
import { Session } from "../../../qmail/smtpd/session.ts";
import type { SessionContext } from "../../../qmail/smtpd/session-context.ts";

/** A qmail home below the temporary directory, with control/me "mail.test". */
export class Home implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "smtpd-"));

  constructor(controls: Readonly<Record<string, string>> = {}) {
    mkdirSync(join(this.path, "control"));
    for (const [name, text] of Object.entries({ me: "mail.test\n", ...controls })) {
      this.control(name, text);
    }
  }

  control(name: string, text: string): void {
    writeFileSync(join(this.path, "control", name), text, "latin1");
  }

  controls(env: NodeJS.ProcessEnv = {}): SmtpdControls {
    return readSmtpdControls(this.path, env);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

export interface Message {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** With its Received line, as a byte string. */
  readonly text: string;
}

/** Keeps what is put in, or refuses all with `exitCode`; can be made to be full or slow. */
export class FakeQueue implements QueueDoor {
  readonly messages: Message[] = [];
  exitCode = 0;
  opened = 0;
  aborted = 0;
  /** Messages begun and not given up or closed. */
  underWay = 0;
  /** Bytes of all messages so far. */
  bytes = 0;
  full = false;
  /** What close waits for. */
  closing: Promise<unknown> = Promise.resolve();
  #drained: (() => void)[] = [];

  /** There is room again. */
  drain(): void {
    this.full = false;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  open(): Qmail {
    this.opened++;
    this.underWay++;
    const queue = this;
    const parts: string[] = [];
    return {
      get full() {
        return queue.full;
      },
      drained: () => new Promise((resolve) => queue.#drained.push(resolve)),
      put(bytes) {
        parts.push(bytes.toString("latin1"));
        queue.bytes += bytes.length;
      },
      async close(sender, recipients) {
        queue.underWay--;
        await queue.closing;
        if (queue.exitCode !== 0) return queueFailure(queue.exitCode);
        const qp = queue.messages.push({ sender, recipients, text: parts.join("") });
        return { ok: true, qp };
      },
      abort() {
        queue.aborted++;
        queue.underWay--;
      },
    };
  }
}

/** These controls for a client that may do anything for ever. */
export function patient(controls: SmtpdControls): SmtpdControls {
  const endless = Number.POSITIVE_INFINITY;
  const limits = { ...controls.limits, maxErrors: endless, slowErrors: endless, maxJunk: endless };
  return { ...controls, limits: { ...limits, maxRcpt: 0 } };
}

/** For logins that fail: nobody waits until it may be said. */
export const AT_ONCE: Pace = { now: () => 0, sleep: () => Promise.resolve() };

/** A session without a network: what it says and does is noted. */
export class Client implements Wire {
  readonly session: Session;
  readonly queue: FakeQueue;
  readonly log: string[] = [];
  replies = "";
  open = true;
  ended = false;
  /** STARTTLS was answered. */
  securing = false;
  now = 1_700_000_000_000;
  /** Milliseconds that are left of what the session allows. */
  allowed = Number.POSITIVE_INFINITY;
  onAllow: (ms: number) => void = () => {};
  /** Called after every write and end. */
  onOutput: () => void = () => {};

  constructor(
    controls: SmtpdControls,
    {
      queue = new FakeQueue(),
      ...context
    }: Partial<Omit<SessionContext, "queue">> & { queue?: FakeQueue } = {},
  ) {
    this.queue = queue;
    this.session = new Session(
      {
        id: "1.1",
        peer: { ip: "127.0.0.1", host: "unknown", info: null },
        local: "mail.test",
        controls,
        relayclient: null,
        isOwnAddress: (ip) => ip === "127.0.0.1",
        queue: () => this.queue,
        startTls: false,
        login: null,
        submission: null,
        rewriting: null,
        limits: () => controls.limits,
        hasRoom: () => true,
        now: () => this.now,
        clock: () => this.now,
        log: (line) => this.log.push(line),
        ...context,
      },
      this,
    );
    this.session.greet();
  }

  write(replies: string | Uint8Array): boolean {
    this.replies += String(replies);
    this.onOutput();
    return true;
  }

  startTls(): void {
    this.securing = true;
  }

  end(): void {
    this.ended = true;
    this.onOutput();
  }

  allow(ms: number): void {
    this.allowed = ms;
    this.onAllow(ms);
  }

  extend(ms: number, most: number): void {
    this.allowed = Math.min(this.allowed + ms, most);
  }

  /** Time goes by, and nothing else happens. */
  pass(ms: number): void {
    this.now += ms;
    this.allowed -= ms;
    if (this.allowed > 0) return;
    this.allowed = Number.POSITIVE_INFINITY;
    this.session.timeout();
  }

  flow(open: boolean): void {
    this.open = open;
  }

  /** Sends bytes and forgets the replies so far. */
  send(text: string): this {
    this.replies = "";
    this.session.receive(Buffer.from(text, "latin1"));
    return this;
  }
}

/** Resolves when everything that is ready to happen has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
