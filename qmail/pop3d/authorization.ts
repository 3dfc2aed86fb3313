/**
 * A POP3 session up to its login (RFC 1939, section 4; qmail-popup(8)). Knows no sockets.
 *
 *   commands ──PASS, APOP──> login ──> handed over, or ended
 */

import type { TlsState, Wire } from "../net/connection.ts";
import { CommandReader } from "./commands.ts";
import type { Pop3Limits } from "./limits.ts";
import * as replies from "./replies.ts";

export interface AuthorizationContext {
  /** The challenge of APOP, with its brackets; empty: APOP is not offered, and the greeting has none. */
  readonly timestamp: string;
  /** TLS can be begun. */
  readonly canTls: boolean;
  /** Passwords may cross the network for all to read. */
  readonly withoutTls: boolean;
  /** How much patience there is now. */
  limits(): Pop3Limits;
  /** Somebody wants in. The session hears nothing more but `lost`, and what the client sends waits in it. */
  login(login: string, password: string): void;
  /** It is over without a login. */
  ended(why: string): void;
}

export class Authorization {
  readonly #context: AuthorizationContext;
  readonly #wire: Wire;
  readonly #commands = new CommandReader();
  #user: string | null = null;
  #tls: TlsState | null = null;
  #state: "commands" | "tls" | "login" | "ended" = "commands";
  #errors = 0;
  /** When somebody must have logged in, whatever he says until then; by a clock that nobody sets. */
  readonly #until: number;
  /** The replies to all commands of one chunk leave together. */
  #replies = "";

  constructor(context: AuthorizationContext, wire: Wire) {
    this.#context = context;
    this.#wire = wire;
    this.#until = performance.now() + context.limits().loginMs;
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  get tls(): TlsState | null {
    return this.#tls;
  }

  greet(): void {
    this.#wire.write(replies.greeting(this.#context.timestamp));
    this.#setTime();
  }

  #setTime(): void {
    this.#wire.allow(Math.max(1, this.#until - performance.now()));
  }

  receive(chunk: Buffer): void {
    if (this.#state === "ended") return;
    this.#commands.push(chunk);
    while (this.#state === "commands") {
      const command = this.#commands.next();
      if (command === undefined) break;
      this.#reply(command ? this.#command(command.verb, command.argument) : replies.syntax());
    }
    this.#flush();
  }

  inputEnd(): void {
    if (this.#state === "login") return;
    this.#end("end of input");
  }

  lost(why = "connection lost"): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#context.ended(why);
  }

  timeout(): void {
    if (this.#state === "login") return;
    this.#replies += replies.idle();
    this.#end("timeout");
  }

  sendAway(): void {
    if (this.#state !== "tls") this.#replies += replies.busy();
    this.#end("sent away");
  }

  stop(): void {
    this.#replies += replies.goingDown();
    this.#end("going down");
  }

  secured(tls: TlsState): void {
    this.#tls = tls;
    if (this.#state === "tls") this.#state = "commands";
    this.#setTime();
  }

  /** What the client has sent behind its login. */
  rest(): Buffer {
    return this.#commands.rest();
  }

  #end(why: string): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#context.ended(why);
    this.#flush();
    this.#wire.end(false);
  }

  #flush(): void {
    if (this.#replies !== "") this.#wire.write(this.#replies);
    this.#replies = "";
  }

  #reply(reply: string | null): void {
    if (reply === null) return;
    this.#replies += reply;
    if (!reply.startsWith("-ERR") || ++this.#errors < this.#context.limits().maxErrors) return;
    this.#replies += replies.tooManyErrors();
    this.#end("too many errors");
  }

  /** The reply; null: it has been said, or comes from elsewhere. */
  #command(verb: string, argument: string): string | null {
    switch (verb) {
      case "user":
        return this.#userCommand(argument);
      case "pass":
        return this.#pass(argument);
      case "apop":
        return this.#apop(argument);
      case "capa":
        return replies.capabilities(this.#capabilities());
      case "stls":
        return this.#stls();
      case "noop":
        return replies.okay();
      case "quit":
        this.#replies += replies.okay();
        this.#end("quit");
        return null;
      default:
        return replies.wantLogin();
    }
  }

  get #mayLogin(): boolean {
    return this.#tls !== null || this.#context.withoutTls;
  }

  #capabilities(): string[] {
    return [
      ...(this.#mayLogin ? ["USER"] : []),
      ...(this.#context.canTls && !this.#tls ? ["STLS"] : []),
      "TOP",
      "UIDL",
      "RESP-CODES",
      "AUTH-RESP-CODE",
    ];
  }

  #userCommand(name: string): string {
    if (!this.#mayLogin) return replies.tlsFirst();
    if (name === "") return replies.syntax();
    this.#user = name;
    return replies.okay();
  }

  #pass(password: string): string | null {
    if (this.#user === null) return replies.wantUser();
    if (password === "") return replies.syntax();
    return this.#login(this.#user, password);
  }

  #apop(argument: string): string | null {
    if (this.#context.timestamp === "") return replies.wantLogin();
    if (!this.#mayLogin) return replies.tlsFirst();
    const space = argument.indexOf(" ");
    if (space < 0) return replies.syntax();
    return this.#login(argument.slice(0, space), argument.slice(space + 1));
  }

  #login(login: string, password: string): null {
    this.#flush();
    this.#state = "login";
    // Behind the login others watch the clock.
    this.#wire.allow(Number.POSITIVE_INFINITY);
    this.#wire.flow(false);
    this.#context.login(login, password);
    return null;
  }

  #stls(): string | null {
    if (this.#tls) return replies.tlsAlready();
    if (!this.#context.canTls) return replies.noTls();
    this.#replies += replies.beginTls();
    this.#flush();
    this.#state = "tls";
    // Said in plain text, perhaps by another: not to be taken for what comes in TLS.
    this.#commands.rest();
    this.#user = null;
    this.#wire.startTls();
    return null;
  }
}
