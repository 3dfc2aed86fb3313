/**
 * One client of the POP3 service: until its login we talk to it, then we carry bytes between it and its
 * qmail-pop3d, which runs as the mailbox's user. Knows no sockets of its own but the one to the login helper.
 */

import type { Socket } from "node:net";
import { failedAnswer, PACE, type Pace } from "../checkpassword/pace.ts";
import type { TlsState, Wire } from "../net/connection.ts";
import type { Guard, Guess } from "../net/login-brakes.ts";
import { Authorization } from "./authorization.ts";
import type { Pop3Limits } from "./limits.ts";
import * as log from "./log.ts";
import { formatRequest, type LoginRequest, parseAnswer } from "./login-request.ts";
import * as replies from "./replies.ts";

const LF = 10;

export interface VisitorContext {
  /** Names the session in the log. */
  readonly session: number;
  readonly ip: string;
  readonly env: LoginRequest["env"];
  /** The challenge of APOP; empty: not offered. */
  readonly timestamp: string;
  readonly canTls: boolean;
  readonly withoutTls: boolean;
  /** How much patience there is now. */
  limits(): Pop3Limits;
  readonly guard: Guard;
  /** For tests. */
  readonly pace?: Pace;
  /** A connection to the login helper. */
  connect(): Socket;
  log(line: string): void;
}

export class Visitor {
  readonly #context: VisitorContext;
  readonly #wire: Wire;
  readonly #authorization: Authorization;
  #backend: Socket | null = null;
  readonly #pace: Pace;
  /** The login under way, and when it began. */
  #guess: Guess | null = null;
  #began = 0;
  #failed = false;
  #carrying = false;
  #bytes = 0;
  #ended = false;

  constructor(context: VisitorContext, wire: Wire) {
    this.#context = context;
    this.#wire = wire;
    this.#pace = context.pace ?? PACE;
    this.#authorization = new Authorization(
      {
        timestamp: context.timestamp,
        canTls: context.canTls,
        withoutTls: context.withoutTls,
        limits: context.limits,
        login: (login, password) => this.#login(login, password),
        ended: (why) => this.#closed(why),
      },
      wire,
    );
  }

  get ended(): boolean {
    return this.#ended;
  }

  greet(): void {
    this.#authorization.greet();
  }

  receive(chunk: Buffer): void {
    if (!this.#carrying) {
      this.#authorization.receive(chunk);
      return;
    }
    // A byte now and then is no sign of life, a command is.
    if (chunk.includes(LF)) this.#setTime();
    if (!this.#backend?.write(chunk)) this.#wire.flow(false);
  }

  #setTime(): void {
    this.#wire.allow(this.#context.limits().idleMs);
  }

  inputEnd(): void {
    if (this.#carrying) this.#backend?.end();
    else this.#authorization.inputEnd();
  }

  lost(why?: string): void {
    this.#backend?.destroy();
    this.#authorization.lost(why);
    this.#closed(why ?? "connection lost");
  }

  timeout(): void {
    if (this.#carrying) this.#end("timeout");
    else this.#authorization.timeout();
  }

  /** Who has logged in may be idle for as long as the standard says. */
  get busy(): boolean {
    return this.#carrying;
  }

  sendAway(): void {
    this.#authorization.sendAway();
  }

  secured(tls: TlsState): void {
    this.#authorization.secured(tls);
  }

  /** Without QUIT nothing is removed: it is safe to break off. */
  stop(): void {
    if (this.#backend) this.#end("going down");
    else this.#authorization.stop();
  }

  drained(): void {
    if (!this.#carrying) return;
    this.#setTime();
    this.#backend?.resume();
  }

  #login(login: string, password: string): void {
    this.#began = this.#pace.now();
    const { guard, timestamp, env } = this.#context;
    const request = formatRequest({ login, password, timestamp, env });
    this.#guess = guard.guess(login);
    if (!this.#guess) this.#refuse(login, "braked");
    else if (!request) void this.#fail(login, "refused");
    else this.#ask(login, request);
  }

  #ask(login: string, request: Buffer): void {
    const backend = this.#context.connect();
    this.#backend = backend;
    let connected = false;
    backend.on("error", () => {});
    backend.on("connect", () => {
      connected = true;
    });
    backend.write(request);
    backend.once("data", (first: Buffer) => {
      const refusal = parseAnswer(first);
      if (refusal) void this.#fail(login, refusal);
      else this.#carry(login, backend, first);
    });
    backend.on("close", () => {
      if (this.#carrying) this.#end("done");
      else void this.#fail(login, connected ? "refused" : "temporary");
    });
  }

  #carry(login: string, backend: Socket, first: Buffer): void {
    this.#carrying = true;
    this.#setTime();
    this.#guess?.right();
    const { session } = this.#context;
    this.#context.log(log.login(session, this.#visit(login)));
    const forward = (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (!this.#wire.write(chunk)) backend.pause();
    };
    forward(first);
    backend.on("data", forward);
    backend.on("drain", () => this.#wire.flow(true));
    const rest = this.#authorization.rest();
    if (rest.length > 0) backend.write(rest);
    this.#wire.flow(true);
  }

  async #fail(login: string, why: "refused" | "temporary"): Promise<void> {
    if (this.#failed || this.#ended) return;
    this.#failed = true;
    if (why === "temporary") this.#guess?.undecided();
    await failedAnswer(this.#began, this.#pace);
    if (!this.#ended) this.#refuse(login, why);
  }

  #refuse(login: string, why: "refused" | "braked" | "temporary"): void {
    const { session } = this.#context;
    this.#context.log(log.refused(session, this.#visit(login), why));
    const reply = {
      refused: replies.refused,
      braked: replies.tooManyFailures,
      temporary: replies.temporary,
    };
    this.#wire.write(reply[why]());
    this.#end(why);
  }

  #visit(user: string): log.Visit {
    const { ip } = this.#context;
    return { ip, user, tls: this.#authorization.tls?.protocol ?? null };
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#closed(why);
    this.#backend?.destroy();
    this.#wire.end(true);
  }

  #closed(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { session, ip } = this.#context;
    this.#context.log(log.closed(session, { ip, why, bytes: this.#bytes }));
  }
}
