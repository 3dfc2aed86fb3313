/**
 * One SMTP session: bytes in, replies out (RFC 5321; qmail-smtpd(8)). Knows no sockets.
 *
 *   commands ──DATA──> data ──CR LF . CR LF──> waiting ──answer of the queue──> commands
 *      │ │ └──BDAT───> chunk ──its last byte──> commands, or waiting when it was the last chunk
 *      │ └────AUTH───> auth ──word──> waiting ──challenge──> auth, or ──verdict──> commands
 *      └───STARTTLS──> securing ──TLS is there──> commands, with everything forgotten
 *   data, chunk ──full queue──> waiting ──drained──> data, chunk
 *   any ──QUIT, client gone, stray newline, timeout, stop──> ended
 *
 * While a session waits, what the client sends waits too, so replies come in the order of commands.
 */

import type { Conversation, TlsState, Wire } from "../net/connection.ts";
import type { Qmail, QueueDoor } from "../queue/qmail.ts";
import type { SmtpdControls } from "./controls.ts";
import { Incoming } from "./incoming.ts";
import { Input } from "./input.ts";
import * as log from "./log.ts";
import { Login, type LoginContext } from "./login.ts";
import { type Peer, receivedLine } from "./received.ts";
import * as replies from "./replies.ts";
import type { Rewriting } from "./rewriting.ts";
import { type Client, type SubmissionPolicy, Transaction } from "./transaction.ts";

/** A longer line is refused; RFC 5321 asks for 512, RFC 4954 for so much. */
export const LINE_MAX = 12_288;
/** So many bytes may wait before the client is made to pause. */
const WAITING_MAX = 64 * 1024;

/** What is known of a client when its message goes into the queue. */
export interface Credentials {
  readonly user: string | null;
  readonly tls: TlsState | null;
}

export interface SessionContext {
  /** Names the session in the log. */
  readonly id: string;
  readonly peer: Peer;
  /** Our name in Received. */
  readonly local: string;
  /** As they are when the session begins. */
  readonly controls: SmtpdControls;
  /** Not null: any recipient is taken, with this behind it. */
  readonly relayclient: string | null;
  readonly isOwnAddress: (ip: string) => boolean;
  /** Where its messages go. */
  readonly queue: (credentials: Credentials) => QueueDoor;
  /** STARTTLS is offered. */
  readonly startTls: boolean;
  /** Null: AUTH is not offered. */
  readonly login: LoginContext | null;
  /** Null: mail from other hosts. */
  readonly submission: SubmissionPolicy | null;
  /** What is done with the messages of mail programs; null: those of servers pass untouched. */
  readonly rewriting: Rewriting | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (line: string) => void;
}

interface Chunk {
  /** Bytes still to come. */
  left: number;
  readonly bytes: number;
  readonly last: boolean;
  /** Not null: it is thrown away, and this is why. */
  readonly refusal: string | null;
}

type State = "commands" | "auth" | "data" | "chunk" | "waiting" | "securing" | "ended";

export class Session implements Conversation {
  readonly #context: SessionContext;
  readonly #wire: Wire;
  readonly #transaction: Transaction;
  readonly #began: number;
  readonly #input = new Input(LINE_MAX);
  #state: State = "commands";
  #login: Login | null = null;
  #incoming: Incoming | null = null;
  /** The chunk that is coming in. */
  #chunk: Chunk = { left: 0, bytes: 0, last: false, refusal: null };
  /** The client has sent its last byte. */
  #inputEnded = false;
  #open = true;
  #stopping = false;
  #replies = "";
  #helo: string | null = null;
  #esmtp = false;
  #tls: TlsState | null = null;
  #messages = 0;

  constructor(context: SessionContext, wire: Wire) {
    this.#context = context;
    this.#wire = wire;
    this.#transaction = new Transaction({
      controls: context.controls,
      isOwnAddress: context.isOwnAddress,
      submission: context.submission,
      rewriting: context.rewriting,
      refused: (what) => context.log(log.refusedAddress(this.#who(), what)),
    });
    this.#began = context.now();
    this.#forget();
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  greet(): void {
    this.#wire.write(replies.greeting(this.#context.controls.greeting));
  }

  receive(chunk: Buffer): void {
    if (this.#state === "ended") return;
    this.#input.push(chunk);
    this.#run();
  }

  inputEnd(): void {
    this.#inputEnded = true;
    this.#run();
  }

  /** The connection is gone. A message that was sent to its end is queued all the same. */
  lost(why: string | null = null): void {
    this.#input.clear();
    this.#inputEnded = true;
    if (this.#state !== "waiting" || this.#incoming) this.#end("disconnected", why);
  }

  /** The client has been silent for too long; no matter while it waits for us. */
  timeout(): void {
    if (this.#state === "waiting" || this.#state === "ended") return;
    if (this.#state !== "securing") this.#replies += replies.timeout();
    this.#end("timeout");
  }

  /** All that was said before TLS counts for nothing: somebody else may have said it (RFC 3207 section 4.2). */
  secured(tls: TlsState): void {
    this.#tls = tls;
    this.#forget();
    this.#state = "commands";
    if (this.#stopping) this.#run();
  }

  /** Ends the session; when a message is coming in, behind that message. */
  stop(): void {
    this.#stopping = true;
    this.#run();
  }

  #forget(): void {
    const { login } = this.#context;
    this.#helo = null;
    this.#esmtp = false;
    this.#login = login && new Login(login);
    this.#reset();
  }

  #reset(): void {
    this.#transaction.reset();
    if (this.#incoming?.chunked) {
      this.#incoming.abort();
      this.#incoming = null;
    }
  }

  #run(): void {
    while (!this.#stopNow() && this.#step());
    if (this.#inputEnded && this.#state !== "waiting") this.#end("disconnected");
    this.#flush();
    this.#regulate();
  }

  /** True when the session is over. */
  #stopNow(): boolean {
    const between = this.#state === "commands" && !this.#incoming;
    if (this.#stopping && (between || this.#state === "auth")) {
      this.#replies += replies.goingDown();
      this.#end("going-down");
    }
    return this.#state === "ended";
  }

  /** False when there is nothing to go on with. */
  #step(): boolean {
    switch (this.#state) {
      case "commands":
        return this.#line((line) => this.#command(line));
      case "auth":
        return this.#line((line) => void this.#answerLogin(line));
      case "data":
        return this.#input.length > 0 && this.#data();
      case "chunk":
        return (this.#input.length > 0 || this.#chunk.left === 0) && this.#chunkData();
      default:
        return false;
    }
  }

  /** False when no whole line is there. */
  #line(take: (text: string) => void): boolean {
    const line = this.#input.line();
    if (line === null) return false;
    if (line === "too-long") {
      this.#replies += replies.lineTooLong();
      this.#state = "commands";
    } else take(line.text);
    return true;
  }

  #command(text: string): void {
    const space = text.indexOf(" ");
    const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase();
    try {
      const reply = this.#answer(verb, space < 0 ? "" : text.slice(space).replace(/^ +/, ""));
      this.#replies += reply;
    } catch (error) {
      this.#context.log(log.warning((error as Error).message));
      this.#replies += replies.unableToReadControls();
      this.#end("unable-to-read-controls");
      return;
    }
    if (verb === "QUIT") this.#end("quit");
    // How much follows a BDAT that makes no sense is not known: it cannot be read as commands.
    else if (verb === "BDAT" && this.#state !== "chunk") this.#end("bad-chunk");
    else if (this.#state === "securing") this.#beginTls();
  }

  #answer(verb: string, argument: string): string {
    const { greeting } = this.#context.controls;
    switch (verb) {
      case "RCPT":
        return this.#midMessage() ?? this.#transaction.rcpt(argument, this.#client());
      case "MAIL":
        return this.#midMessage() ?? this.#transaction.mail(argument, this.#client());
      case "DATA":
        return this.#midMessage() ?? this.#startData();
      case "BDAT":
        return this.#startChunk(argument);
      case "QUIT":
        return replies.quit(greeting);
      case "HELO":
        this.#greeted(argument, false);
        return replies.helo(greeting);
      case "EHLO":
        this.#greeted(argument, true);
        return replies.ehlo(greeting, this.#offer());
      case "RSET":
        this.#reset();
        return replies.flushed();
      case "STARTTLS":
        return this.#midMessage() ?? this.#startTls(argument);
      case "AUTH":
        return this.#midMessage() ?? this.#startLogin(argument);
      case "HELP":
        return replies.help();
      case "NOOP":
        return replies.ok();
      case "VRFY":
        return replies.vrfy();
      default:
        return replies.unimplemented();
    }
  }

  #greeted(helo: string, esmtp: boolean): void {
    this.#reset();
    this.#helo = helo;
    this.#esmtp = esmtp;
  }

  #offer(): replies.Offer {
    return {
      databytes: this.#context.controls.databytes,
      startTls: this.#context.startTls && !this.#tls,
      auth: this.#login?.offered(this.#tls !== null) ?? [],
    };
  }

  #client(): Client {
    const user = this.#login?.user ?? null;
    return { user, relayclient: this.#context.relayclient ?? (user === null ? null : "") };
  }

  #startTls(argument: string): string {
    if (!this.#context.startTls) return replies.unimplemented();
    if (this.#tls) return replies.tlsAlready();
    if (argument !== "") return replies.syntax();
    this.#state = "securing";
    return this.#input.length > 0 ? replies.dataBeforeTls() : replies.readyForTls();
  }

  /** What waits behind STARTTLS in plain text must not be taken for something said in TLS. */
  #beginTls(): void {
    if (this.#input.length > 0) {
      this.#end("data-before-tls");
      return;
    }
    this.#flush();
    this.#wire.startTls();
  }

  #startLogin(argument: string): string {
    if (!this.#login) return replies.unimplemented();
    if (this.#transaction.sender !== null) return replies.authInTransaction();
    const refusal = this.#login.begin(argument, this.#tls !== null);
    if (refusal !== null) return refusal;
    void this.#continueLogin();
    return "";
  }

  async #answerLogin(line: string): Promise<void> {
    this.#login?.hear(line);
    await this.#continueLogin();
  }

  async #continueLogin(): Promise<void> {
    this.#state = "waiting";
    const login = this.#login as Login;
    const said = await login.next();
    if (this.ended) return;
    const { mechanism, verdict } = said;
    if (verdict) this.#context.log(log.login(this.#who(), { mechanism, ...verdict }));
    this.#replies += said.reply;
    this.#state = said.verdict ? "commands" : "auth";
    if (login.exhausted) {
      this.#replies += replies.tooManyFailures();
      this.#end("too-many-failures");
    }
    this.#run();
  }

  /** Between the chunks of a message only BDAT, RSET, and what asks nothing of it. */
  #midMessage(): string | null {
    return this.#incoming ? replies.inChunks() : null;
  }

  #startData(): string {
    const refusal = this.#notReady();
    if (refusal !== null) return refusal;
    this.#incoming = this.#openMessage(false);
    if (!this.#incoming) return replies.queueNotOpen();
    this.#state = "data";
    return replies.goAhead();
  }

  #notReady(): string | null {
    if (this.#transaction.sender === null) return replies.wantMail();
    return this.#transaction.recipients.length === 0 ? replies.wantRcpt() : null;
  }

  /** `BDAT bytes [LAST]` (RFC 3030): its bytes follow at once, so they are read whatever we say. */
  #startChunk(argument: string): string {
    const [, size, last] = /^(\d{1,15})(?: +(LAST))? *$/i.exec(argument) ?? [];
    if (size === undefined) return replies.syntax();
    const bytes = Number(size);
    let refusal = this.#incoming ? null : this.#notReady();
    if (!this.#incoming && refusal === null) {
      this.#incoming = this.#openMessage(true);
      if (!this.#incoming) refusal = replies.queueNotOpen();
    }
    this.#chunk = { left: bytes, bytes, last: last !== undefined, refusal };
    this.#state = "chunk";
    return "";
  }

  /** Takes what is there of a chunk. */
  #chunkData(): boolean {
    const chunk = this.#chunk;
    const incoming = chunk.refusal === null ? this.#incoming : null;
    const piece = this.#input.take(chunk.left);
    chunk.left -= piece.length;
    if (piece.length > 0) incoming?.take(piece);
    if (chunk.left === 0) this.#endChunk(chunk, incoming);
    else if (incoming?.full) void this.#drain(incoming, "chunk");
    return true;
  }

  #endChunk({ bytes, last, refusal }: Chunk, incoming: Incoming | null): void {
    this.#state = "commands";
    if (!incoming) this.#replies += refusal ?? "";
    else if (last) this.#finish(incoming);
    else if (incoming.refusal === null) this.#replies += replies.chunkTaken(bytes);
    else {
      // The chunks that still come find no transaction, and are thrown away.
      this.#refuse(this.#sent(incoming), incoming.refusal);
      this.#incoming = null;
      this.#transaction.reset();
    }
  }

  #openMessage(chunked: boolean): Incoming | null {
    const { controls, rewriting } = this.#context;
    const message = this.#openQueue();
    if (!message) return null;
    message.put(Buffer.from(this.#received(), "latin1"));
    return new Incoming(message, {
      databytes: controls.databytes,
      chunked,
      rewriter: rewriting?.header() ?? null,
    });
  }

  #openQueue(): Qmail | null {
    try {
      return this.#context.queue({ user: this.#login?.user ?? null, tls: this.#tls }).open();
    } catch (error) {
      this.#context.log(log.warning(`cannot put a message in: ${(error as Error).message}`));
      this.#transaction.reset();
      return null;
    }
  }

  #received(): string {
    const { peer, local, now } = this.#context;
    const user = this.#login?.user ?? null;
    return receivedLine({
      peer: { ...peer, info: user ?? peer.info },
      helo: this.#helo,
      esmtp: this.#esmtp,
      tls: this.#tls,
      authenticated: user !== null,
      by: local,
      now: Math.floor(now() / 1000),
    });
  }

  #data(): boolean {
    const incoming = this.#incoming as Incoming;
    const { state, rest } = incoming.take(this.#input.take());
    this.#input.restore(rest);
    if (state === "end") this.#finish(incoming);
    else if (state === "stray-newline") {
      this.#replies += replies.strayNewline();
      this.#end("stray-newline");
    } else if (incoming.full) void this.#drain(incoming, "data");
    return true;
  }

  async #drain(incoming: Incoming, state: "data" | "chunk"): Promise<void> {
    this.#state = "waiting";
    this.#regulate();
    await incoming.drained();
    if (this.ended) return;
    this.#state = state;
    this.#run();
  }

  /** The message is whole. */
  #finish(incoming: Incoming): void {
    const sent = this.#sent(incoming);
    this.#incoming = null;
    this.#transaction.reset();
    const outcome = incoming.finish(sent.from, sent.to);
    this.#state = "commands";
    if (outcome.refused !== null) this.#refuse(sent, outcome.refused);
    else void this.#settle(sent, outcome.result);
  }

  #sent({ bytes }: Incoming): log.LogMessage {
    const { sender, recipients } = this.#transaction;
    return { from: sender ?? "", to: recipients, bytes };
  }

  async #settle(sent: log.LogMessage, asked: ReturnType<Qmail["close"]>): Promise<void> {
    this.#state = "waiting";
    const result = await asked;
    this.#state = "commands";
    if (result.ok) {
      const { qp } = result;
      const { log: write, now } = this.#context;
      this.#messages++;
      write(log.accepted(this.#who(), { ...sent, helo: this.#helo, qp }));
      this.#replies += replies.accepted(Math.floor(now() / 1000), qp);
    } else this.#refuse(sent, replies.queueFailed(result.permanent, result.text));
    this.#run();
  }

  #refuse(sent: log.LogMessage, reply: string): void {
    this.#context.log(log.refusedMessage(this.#who(), { ...sent, reply }));
    this.#replies += reply;
  }

  #end(why: log.End, detail: string | null = null): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#incoming?.abort();
    this.#incoming = null;
    this.#input.clear();
    const seconds = (this.#context.now() - this.#began) / 1000;
    const messages = this.#messages;
    this.#context.log(log.ended(this.#who(), { why, detail, messages, seconds }));
    this.#flush();
    this.#wire.end(why === "quit");
  }

  /** The replies to all commands of one chunk leave together. */
  #flush(): void {
    if (this.#replies === "") return;
    const text = this.#replies;
    this.#replies = "";
    this.#wire.write(text);
  }

  /** Lets the client send as long as there is room for it. */
  #regulate(): void {
    if (this.#state === "securing") return;
    const open = this.#state !== "waiting" || this.#input.length < WAITING_MAX;
    if (open === this.#open) return;
    this.#open = open;
    this.#wire.flow(open);
  }

  #who(): log.LogPeer {
    const { id, peer } = this.#context;
    const user = this.#login?.user ?? null;
    return { id, ip: peer.ip, tls: this.#tls?.protocol ?? null, user };
  }
}
