/** A POP3 session behind its login: the mailbox and its commands (RFC 1939, qmail-pop3d(8)). */

import { closeSync, readSync } from "node:fs";
import type { Wire } from "../net/connection.ts";
import { Blast } from "./blast.ts";
import { CommandReader, scanNumber } from "./commands.ts";
import type { Pop3Limits } from "./limits.ts";
import { type Mailbox, type Message, uniqueId } from "./mailbox.ts";
import * as replies from "./replies.ts";

/** So much of a message is read at once; no more of it is ever held. */
const CHUNK = 64 * 1024;

/** A message on its way. */
interface Outgoing {
  readonly fd: number;
  readonly blast: Blast;
}

export class Session {
  readonly #mailbox: Mailbox;
  readonly #limits: Pop3Limits;
  readonly #wire: Wire;
  readonly #commands = new CommandReader();
  readonly #chunk = Buffer.alloc(CHUNK);
  #outgoing: Outgoing | null = null;
  /** The client has not taken what was said: a listing for each command that waits could be more than memory. */
  #full = false;
  #last = 0;
  #inputEnded = false;
  #ended = false;
  /** One behind the other. */
  #errors = 0;

  constructor(mailbox: Mailbox, limits: Pop3Limits, wire: Wire) {
    this.#mailbox = mailbox;
    this.#limits = limits;
    this.#wire = wire;
  }

  get ended(): boolean {
    return this.#ended;
  }

  greet(): void {
    this.#wire.write(replies.okay());
    this.#setTime();
  }

  #setTime(): void {
    this.#wire.allow(this.#limits.idleMs);
  }

  receive(chunk: Buffer): void {
    if (this.#ended) return;
    this.#commands.push(chunk);
    this.#run();
  }

  inputEnd(): void {
    this.#inputEnded = true;
    this.#run();
  }

  /** Without QUIT nothing is removed (RFC 1939, section 6). */
  lost(): void {
    this.#ended = true;
    this.#close();
  }

  timeout(): void {
    this.#end();
  }

  stop(): void {
    this.#end();
  }

  /** TLS is the business of who stands before us. */
  secured(): void {}

  drained(): void {
    this.#full = false;
    // To have taken what we said is a sign of life.
    this.#setTime();
    if (this.#outgoing) this.#pump(this.#outgoing);
    else this.#run();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#close();
    this.#wire.end(true);
  }

  #run(): void {
    while (!this.#outgoing && !this.#full && !this.#ended) {
      const command = this.#commands.next();
      if (command === undefined) {
        if (this.#inputEnded) this.#end();
        return;
      }
      const reply = command ? this.#command(command.verb, command.argument) : replies.syntax();
      this.#setTime();
      if (reply !== null) this.#full = !this.#wire.write(reply);
      if (command?.verb === "quit") this.#end();
      else this.#count(reply);
    }
  }

  #count(reply: string | null): void {
    this.#errors = reply?.startsWith("-ERR") ? this.#errors + 1 : 0;
    if (this.#errors < this.#limits.maxErrors || this.#ended) return;
    this.#wire.write(replies.tooManyErrors());
    this.#end();
  }

  /** The reply; null: it is on its way already. */
  #command(verb: string, argument: string): string | null {
    switch (verb) {
      case "stat":
        return this.#stat();
      case "list":
        return this.#list(argument, ({ size }) => String(size));
      case "uidl":
        return this.#list(argument, uniqueId);
      case "retr":
      case "top":
        return this.#top(argument);
      case "dele":
        return this.#dele(argument);
      case "rset":
        return this.#rset();
      case "last":
        return replies.okay(String(this.#last));
      case "noop":
        return replies.okay();
      case "capa":
        return replies.capabilities(["TOP", "UIDL", "RESP-CODES"]);
      case "quit":
        return this.#mailbox.update() ? replies.okay() : replies.cannotUnlink();
      default:
        return replies.unimplemented();
    }
  }

  #stat(): string {
    const { messages } = this.#mailbox;
    const total = messages.reduce((sum, { size, deleted }) => (deleted ? sum : sum + size), 0);
    // As qmail has it, those marked count in the number, and not in the size.
    return replies.okay(`${messages.length} ${total}`);
  }

  #rset(): string {
    for (const message of this.#mailbox.messages) message.deleted = false;
    this.#last = 0;
    return replies.okay();
  }

  #dele(argument: string): string {
    const found = this.#find(argument);
    if (typeof found === "string") return found;
    found.message.deleted = true;
    this.#last = Math.max(this.#last, found.number);
    return replies.okay();
  }

  #list(argument: string, what: (message: Message) => string): string {
    if (argument !== "") {
      const found = this.#find(argument);
      if (typeof found === "string") return found;
      return replies.okay(`${found.number} ${what(found.message)}`);
    }
    const all = this.#mailbox.messages.flatMap((message, at) =>
      message.deleted ? [] : [`${at + 1} ${what(message)}\r\n`],
    );
    return replies.lines(all);
  }

  #top(argument: string): string | null {
    const found = this.#find(argument);
    if (typeof found === "string") return found;
    const lines = scanNumber(argument.replace(/^\d+ */, ""));
    let fd: number;
    try {
      fd = this.#mailbox.open(found.message);
    } catch {
      return replies.cannotOpen();
    }
    this.#wire.write(replies.okay());
    this.#wire.flow(false);
    this.#outgoing = { fd, blast: new Blast(lines) };
    this.#pump(this.#outgoing);
    return null;
  }

  /** Writes as long as the client takes it, then waits for `drained`. */
  #pump({ fd, blast }: Outgoing): void {
    for (;;) {
      const count = blast.done ? 0 : this.#read(fd);
      if (count < 0) return;
      if (count === 0) break;
      // Copied: the wire may keep it until the client takes it.
      const encoded = Buffer.from(blast.push(this.#chunk.subarray(0, count)));
      if (!this.#wire.write(encoded)) return;
    }
    this.#close();
    this.#full = !this.#wire.write(blast.end());
    this.#wire.flow(true);
    // Not at once: the client's next commands may be many messages more.
    setImmediate(() => this.#run());
  }

  /** Bytes read; -1: the disk has failed, and half a message must not look like a whole one. */
  #read(fd: number): number {
    try {
      return readSync(fd, this.#chunk, 0, CHUNK, null);
    } catch {
      this.#end();
      return -1;
    }
  }

  #close(): void {
    if (this.#outgoing) closeSync(this.#outgoing.fd);
    this.#outgoing = null;
  }

  /** The message of `argument`, with its number; a string is the reply that refuses. */
  #find(argument: string): { message: Message; number: number } | string {
    const number = scanNumber(argument);
    if (number === null) return replies.syntax();
    if (number === 0) return replies.noZero();
    const message = this.#mailbox.messages[number - 1];
    if (!message) return replies.notThatMany();
    return message.deleted ? replies.deleted() : { message, number };
  }
}
