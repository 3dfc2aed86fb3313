/**
 * The client's side of an SMTP connection: hello, TLS, AUTH, then one message after another (RFC 5321;
 * C qmail: qmail-remote.c, smtp).
 */

import type { Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Report } from "../spawn/report.ts";
import { type Credentials, chooseMechanisms, type Mechanism } from "./auth.ts";
import { parseExtensions, type Reply } from "./reply.ts";
import { DroppedError, SmtpSocket, type Trace } from "./smtp-socket.ts";
import { type TlsFault, tlsFault } from "./tls-fault.ts";
import { isOptional, noTlsText, peerFault, type TlsPolicy, tlsText } from "./tls-policy.ts";
import { Transaction, type Transfer } from "./transaction.ts";
import type { Outcome } from "./words.ts";
import * as words from "./words.ts";

/** A server that has not greeted by then will not (RFC 5321 section 4.5.3.2.1). */
const GREETING_MS = 300_000;
/** What a trace shows in place of passwords. */
const SECRET = "(secret)";

export interface SessionOptions {
  readonly helohost: string;
  /** Milliseconds that each answer may take. */
  readonly timeout: number;
  /** Milliseconds from the first byte to the last, for the hello and for each message; a message has one more for each byte. */
  readonly total: number;
  /** The server's name, for TLS. */
  readonly name: string;
  readonly tls: TlsPolicy;
  /** Told what TLS came to; null: all is well. */
  readonly onTls?: (fault: TlsFault | null) => void;
  /** Client certificate and authorities. */
  readonly secureContext: SecureContextOptions;
  readonly credentials: Credentials | null;
  /** Ways to log in, in the order in which they are tried; all that are known when absent. */
  readonly mechanisms?: readonly string[] | undefined;
  /** EHLO keywords, in capitals, that count as not offered. */
  readonly ignore?: readonly string[] | undefined;
  /** They may go over any connection. */
  readonly authWithoutTls: boolean;
  /** Milliseconds. */
  readonly now: () => number;
  readonly trace?: Trace;
}

/** An open way to a server: messages go over it one after another. */
export interface MailSession {
  /** True when another message may follow. */
  readonly reusable: boolean;
  /** Messages handed over so far. */
  readonly count: number;
  /** Hands over one message. Rejects never. */
  transfer(transfer: Transfer): Promise<Outcome>;
  /** Drops the connection, unless the message may have arrived: then its answer is awaited. True when dropped. */
  abandon(): boolean;
  close(): void;
}

/** True for a session, as against why there is none. */
export function isSession<T extends object>(found: MailSession | T | null): found is MailSession {
  return found !== null && "transfer" in found;
}

/** The server's greeting or hello did not end well. */
export interface NotOpened {
  readonly report: Report;
  /** `next`: another server of the host may do. `plain`: this one may, without TLS. */
  readonly retry: "next" | "plain" | "no";
  /** What the report says of TLS when it is gone without. */
  readonly why?: string;
}

export class SmtpSession implements MailSession {
  readonly #smtp: SmtpSocket;
  readonly #options: SessionOptions;
  readonly #ip: string;
  #extensions: ReadonlyMap<string, string> = new Map();
  /** What the server has to say against EHLO. */
  #refusal: Reply | null = null;
  #tls: string | null = null;
  /** Nobody in between can read a password. */
  #safe = false;
  /** Messages handed over so far. */
  #count = 0;
  #usable = true;
  #transaction: Transaction | null = null;

  private constructor(socket: Socket, options: SessionOptions) {
    this.#ip = socket.remoteAddress ?? "";
    this.#smtp = new SmtpSocket(socket, options.timeout, options.trace);
    this.#options = options;
  }

  /** Greets the server at the other end of `socket`. Rejects never. */
  static async open(socket: Socket, options: SessionOptions): Promise<SmtpSession | NotOpened> {
    const session = new SmtpSession(socket, options);
    try {
      const failure = await session.#smtp.within(options.total, session.#open());
      if (!failure) return session;
      session.close();
      return failure;
    } catch (error) {
      session.#smtp.destroy();
      if (!(error instanceof DroppedError)) throw error;
      return { report: session.#lost(), retry: "next" };
    }
  }

  /** Why the connection is of no use, when it is that already. */
  #lost(): Report {
    if (this.#smtp.surprised) return words.surprised(this.#ip, false);
    return words.dropped(this.#ip, false, this.#smtp.lastWords ?? this.#refusal);
  }

  get reusable(): boolean {
    return this.#usable && this.#smtp.alive && !this.#smtp.surprised;
  }

  get count(): number {
    return this.#count;
  }

  async transfer(transfer: Transfer): Promise<Outcome> {
    const transaction = new Transaction(this.#smtp, {
      ip: this.#ip,
      extensions: this.#extensions,
      tls: this.#tls,
      trace: this.#options.trace,
    });
    this.#transaction = transaction;
    const most = this.#options.total + transfer.message.size;
    const outcome = await this.#smtp.within(most, transaction.run(transfer));
    this.#count++;
    this.#transaction = null;
    // After a refusal the server may be in any state: a new connection is sure.
    if (outcome.report.status !== "K") this.#usable = false;
    return outcome;
  }

  abandon(): boolean {
    if (this.#transaction?.critical) return false;
    this.#smtp.destroy();
    return true;
  }

  close(): void {
    this.#smtp.quit();
  }

  async #open(): Promise<NotOpened | null> {
    const greeting = await this.#smtp.within(GREETING_MS, this.#smtp.reply());
    if (greeting.code !== 220) return this.#notOpened(" but greeting failed", greeting);
    return (await this.#hello()) ?? (await this.#startTls()) ?? (await this.#authenticate());
  }

  async #hello(): Promise<NotOpened | null> {
    const { helohost } = this.#options;
    let hello = await this.#smtp.command(`EHLO ${helohost}`);
    if (hello.code === 250) this.#extensions = this.#offered(hello);
    else if (hello.code >= 500) {
      this.#extensions = new Map();
      this.#refusal = hello;
      hello = await this.#smtp.command(`HELO ${helohost}`);
    }
    return hello.code === 250 ? null : this.#notOpened(" but my name was rejected", hello);
  }

  #offered(hello: Reply): ReadonlyMap<string, string> {
    const ignored = new Set(this.#options.ignore);
    return new Map([...parseExtensions(hello)].filter(([keyword]) => !ignored.has(keyword)));
  }

  async #startTls(): Promise<NotOpened | null> {
    const { tls, name, secureContext, now, onTls } = this.#options;
    if (tls.mode === "none") {
      this.#tls = tls.why ?? null;
      return null;
    }
    if (!this.#extensions.has("STARTTLS")) return this.#noTls("the server does not offer it");
    const ready = await this.#smtp.command("STARTTLS");
    if (ready.code !== 220) return this.#noTls(`the server refused it (${ready.code})`);
    // Whatever stands behind the answer in the clear could come from somebody in between.
    if (this.#smtp.surprised) return this.#tlsFailed("the server said more than it was asked");
    try {
      const socket = await this.#smtp.startTls({
        ...secureContext,
        // A name that is an address is not allowed here (RFC 6066 section 3).
        ...(/^[\d.]+$|:/.test(name) ? {} : { servername: name }),
        checkServerIdentity: () => undefined,
      });
      const fault = peerFault(socket, tls, now());
      onTls?.(fault);
      if (fault && !isOptional(tls)) return this.#withoutTls(fault);
      // What was only offered may be anybody's.
      this.#safe = !fault && !isOptional(tls);
      this.#tls = tlsText(socket, tls, fault);
      this.#options.trace?.("*", `TLS: ${this.#tls}`);
    } catch (error) {
      return this.#tlsFailed(handshakeText(error as Error));
    }
    return isOptional(tls) ? this.#helloOverOptionalTls() : this.#hello();
  }

  /** A server that does nothing behind its handshake may do better without one. */
  async #helloOverOptionalTls(): Promise<NotOpened | null> {
    const reason = "the server does not go on behind the handshake";
    try {
      const failed = await this.#hello();
      return failed && this.#withoutTls(tlsFault("validation-failure", reason));
    } catch (error) {
      if (!(error instanceof DroppedError) || this.#smtp.surprised) throw error;
      this.#smtp.destroy();
      return this.#withoutTls(tlsFault("validation-failure", reason));
    }
  }

  /** The server has none: that is all right where none is asked for. */
  #noTls(reason: string): NotOpened | null {
    const { tls, onTls, credentials } = this.#options;
    const fault = tlsFault("starttls-not-supported", reason);
    onTls?.(fault);
    if (!isOptional(tls)) {
      const why = `${reason}, and a password goes over nothing less`;
      return this.#withoutTls(credentials ? { ...fault, reason: why } : fault);
    }
    this.#tls = noTlsText(tls, fault);
    return null;
  }

  /** It was begun and did not work: this connection is of no use. */
  #tlsFailed(reason: string): NotOpened {
    const fault = tlsFault("validation-failure", reason);
    this.#options.onTls?.(fault);
    return this.#withoutTls(fault);
  }

  #withoutTls(fault: TlsFault): NotOpened {
    const { tls } = this.#options;
    const report = words.noTls(this.#ip, fault.reason);
    if (!isOptional(tls)) return { report, retry: "next" };
    const why = noTlsText(tls, fault);
    return { report, retry: "plain", ...(why === null ? {} : { why }) };
  }

  async #authenticate(): Promise<NotOpened | null> {
    const { credentials, authWithoutTls, mechanisms } = this.#options;
    if (!credentials) return null;
    const failed = (why: string, reply: Reply | null): NotOpened => {
      return { report: words.authFailed(this.#ip, why, reply), retry: "no" };
    };
    if (!this.#safe && !authWithoutTls) return failed("anybody could read the password", null);
    const ways = chooseMechanisms(this.#extensions.get("AUTH") ?? "", credentials, mechanisms);
    if (ways.length === 0) return failed("the server offers no way that I know", null);
    let reply: Reply | null = null;
    for (const way of ways) {
      reply = await this.#login(way);
      if (reply.code === 235) return null;
      // For now is for now, whatever the way.
      if (reply.code < 500) break;
      this.#refusal = reply;
    }
    return failed("it was refused", reply);
  }

  /** What the server says to it at last. */
  async #login({ name, initial, answers }: Mechanism): Promise<Reply> {
    const line = initial === null ? `AUTH ${name}` : `AUTH ${name} ${initial}`;
    let reply = await this.#smtp.command(line, `AUTH ${name} ${initial === null ? "" : SECRET}`);
    for (const answer of answers) {
      if (reply.code !== 334) return reply;
      reply = await this.#smtp.command(answer(reply.text.slice(4).trim()), SECRET);
    }
    // There is no more to say: that is taken back (RFC 4954 section 4).
    return reply.code === 334 ? this.#smtp.command("*") : reply;
  }

  #notOpened(after: string, reply: Reply): NotOpened {
    return { report: words.said("Z", ["Connected to ", this.#ip, after], reply), retry: "next" };
  }
}

/** OpenSSL's messages begin with a number of the process, which helps nobody. */
function handshakeText(error: Error & { readonly reason?: string }): string {
  return error.reason ?? error.message;
}
