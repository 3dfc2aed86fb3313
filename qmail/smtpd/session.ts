/**
 * One SMTP session: bytes in, replies out (RFC 5321; qmail-smtpd(8)). Knows no sockets.
 *
 *   commands ──DATA──> data ──CR LF . CR LF──> waiting ──answer of the queue──> commands
 *      │ │ └──BDAT───> chunk ──its last byte──> commands, or waiting when it was the last chunk
 *      │ └────AUTH───> auth ──word──> waiting ──challenge──> auth, or ──verdict──> commands
 *      └───STARTTLS──> securing ──TLS is there──> commands, with everything forgotten
 *   data, chunk ──full queue──> waiting ──drained──> data, chunk
 *   commands, auth ──an error too many──> slowed ──a second──> as before, or ended
 *   any ──QUIT, client gone, stray newline, timeout, stop──> ended
 *
 * While a session waits, what the client sends waits too, so replies come in the order of commands.
 */

import type { Conversation, TlsState, Wire } from "../net/connection.ts";
import { Input } from "./input.ts";
import * as log from "./log.ts";
import { Login } from "./login.ts";
import { type MailClient, MailData } from "./mail-data.ts";
import { isForeign, Manners } from "./manners.ts";
import { Patience } from "./patience.ts";
import * as replies from "./replies.ts";
import type { SessionContext } from "./session-context.ts";
import { type Client, Transaction } from "./transaction.ts";

/** A longer line is refused; RFC 5321 asks for 512, RFC 4954 for so much. */
export const LINE_MAX = 12_288;
/** So many bytes may wait before the client is made to pause. */
const WAITING_MAX = 64 * 1024;
/** So much of what was no SMTP is in the log. */
const SHOWN_MAX = 40;

type State = "commands" | "auth" | "data" | "chunk" | "waiting" | "slowed" | "securing" | "ended";

/** What is said at an end that is ours. */
const ENDS = {
  "going-down": replies.goingDown,
  "sent-away": replies.busy,
  timeout: replies.timeout,
  "too-long": replies.tooLong,
  "too-many-errors": replies.tooManyErrors,
} as const;

export class Session implements Conversation {
  readonly #context: SessionContext;
  readonly #wire: Wire;
  readonly #transaction: Transaction;
  readonly #patience: Patience;
  readonly #input = new Input(LINE_MAX);
  #state: State = "commands";
  #slowNext = false;
  /** What follows `slowed`. */
  #behind: State = "commands";
  readonly #manners: Manners;
  #login: Login | null = null;
  readonly #mail: MailData;
  /** The client has sent its last byte. */
  #inputEnded = false;
  #open = true;
  #refusals = 0;
  #stopping = false;
  #replies = "";
  #helo: string | null = null;
  #esmtp = false;
  #tls: TlsState | null = null;

  constructor(context: SessionContext, wire: Wire) {
    this.#context = context;
    this.#wire = wire;
    this.#transaction = new Transaction({
      controls: context.controls,
      isOwnAddress: context.isOwnAddress,
      submission: context.submission,
      rewriting: context.rewriting,
      hasRoom: context.hasRoom,
      refused: (what) => this.#refused(what),
    });
    this.#manners = new Manners(context.limits);
    this.#mail = new MailData(context, {
      input: this.#input,
      transaction: this.#transaction,
      client: () => ({ ...this.#greeting(), user: this.#login?.user ?? null }),
      who: () => this.#who(),
      reply: (text) => this.#say(text),
      accepted: () => this.#manners.forgive(),
      enter: (state) => this.#enter(state),
      end: (why) => this.#end(why),
      go: () => this.#run(),
    });
    this.#patience = new Patience(context, wire);
    this.#forget();
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  greet(): void {
    this.#wire.write(replies.greeting(this.#context.controls.greeting));
    this.#setTime();
  }

  receive(chunk: Buffer): void {
    if (this.#state === "ended") return;
    this.#patience.earn(chunk.length);
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
    if (this.#state !== "waiting" || this.#mail.underWay) this.#end("disconnected", why);
  }

  /** The client's time is up, or the second that its error has cost. */
  timeout(): void {
    if (this.#state === "waiting" || this.#state === "ended") return;
    if (this.#state === "slowed") {
      this.#state = this.#behind;
      this.#run();
      return;
    }
    const why = this.#patience.look() ? "too-long" : "timeout";
    this.#replies += ENDS[why]();
    this.#end(why);
  }

  sendAway(): void {
    if (this.#state !== "securing") this.#replies += ENDS["sent-away"]();
    this.#end("sent-away");
  }

  /** All that was said before TLS counts for nothing: somebody else may have said it (RFC 3207 section 4.2). */
  secured(tls: TlsState): void {
    this.#tls = tls;
    this.#forget();
    this.#state = "commands";
    this.#patience.renew();
    this.#run();
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
    this.#mail.reset();
  }

  #run(): void {
    while (!this.#stopNow() && this.#step());
    if (this.#inputEnded && !this.#isOurTurn) this.#end("disconnected");
    this.#flush();
    this.#regulate();
    this.#setTime();
  }

  /** What the client sends is not looked at. */
  get #isOurTurn(): boolean {
    return this.#state === "waiting" || this.#state === "slowed";
  }

  /** True when the session is over. */
  #stopNow(): boolean {
    if (this.#state !== "commands" && this.#state !== "auth") return this.ended;
    const why = this.#whyEnd();
    if (why === null) return false;
    this.#replies += ENDS[why]();
    this.#end(why);
    return true;
  }

  #whyEnd(): keyof typeof ENDS | null {
    if (this.#manners.exhausted && !this.#slowNext) return "too-many-errors";
    // A message that has been begun may be sent to its end.
    if (this.#mail.underWay) return null;
    if (this.#stopping) return "going-down";
    return this.#patience.over ? "too-long" : null;
  }

  #setTime(): void {
    const state = this.#state;
    if (state === "waiting") this.#patience.pause();
    // The handshake has a time of its own.
    if (state === "waiting" || state === "ended" || state === "securing" || state === "slowed")
      return;
    this.#patience.await(this.#mail.underWay);
  }

  #say(reply: string): void {
    this.#replies += reply;
    this.#patience.renew();
    if (this.#manners.hear(reply)) this.#slowNext = true;
  }

  /** False when there is nothing to go on with. */
  #step(): boolean {
    if (this.#slowNext && (this.#state === "commands" || this.#state === "auth")) this.#slow();
    switch (this.#state) {
      case "commands":
        return this.#line((line) => this.#command(line));
      case "auth":
        return this.#line((line) => void this.#answerLogin(line));
      case "data":
        return this.#input.length > 0 && this.#mail.data();
      case "chunk":
        return this.#mail.chunkData();
      default:
        return false;
    }
  }

  /** Who makes so many errors waits for each. */
  #slow(): void {
    this.#slowNext = false;
    this.#behind = this.#state;
    this.#state = "slowed";
    this.#patience.slow();
  }

  /** False when no whole line is there. */
  #line(take: (text: string) => void): boolean {
    const line = this.#input.line();
    if (line === null) return false;
    if (line === "too-long") {
      this.#say(replies.lineTooLong());
      this.#state = "commands";
    } else take(line.text);
    return true;
  }

  #command(text: string): void {
    const space = text.indexOf(" ");
    const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase();
    const argument = space < 0 ? "" : text.slice(space).replace(/^ +/, "");
    this.#manners.command(verb, argument);
    let reply: string;
    try {
      reply = this.#answer(verb, argument);
      this.#say(reply);
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
    else if (reply === replies.notSmtp()) this.#end("not-smtp", verb.slice(0, SHOWN_MAX));
  }

  #answer(verb: string, argument: string): string {
    const { greeting } = this.#context.controls;
    switch (verb) {
      case "RCPT":
        return this.#midMessage() ?? this.#transaction.rcpt(argument, this.#client());
      case "MAIL":
        return this.#midMessage() ?? this.#transaction.mail(argument, this.#client());
      case "DATA":
        return this.#midMessage() ?? this.#mail.startData();
      case "BDAT":
        return this.#mail.startChunk(argument);
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
        return isForeign(verb) ? replies.notSmtp() : replies.unimplemented();
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
    this.#say(said.reply);
    this.#state = said.verdict ? "commands" : "auth";
    if (login.exhausted) {
      this.#replies += replies.tooManyFailures();
      this.#end("too-many-failures");
    }
    this.#run();
  }

  #refused(what: { readonly from: string; readonly to?: string; readonly reply: string }): void {
    if (++this.#refusals > log.REFUSALS_MAX) return;
    this.#context.log(log.refusedAddress(this.#who(), what));
  }

  /** Between the chunks of a message only BDAT, RSET, and what asks nothing of it. */
  #midMessage(): string | null {
    return this.#mail.underWay ? replies.inChunks() : null;
  }

  #end(why: log.End, detail: string | null = null): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#mail.abort();
    this.#input.clear();
    const { seconds } = this.#patience;
    const done = { messages: this.#mail.queued, refusals: this.#refusals, seconds };
    this.#context.log(log.ended(this.#who(), { why, detail, ...done }));
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
    const open = !this.#isOurTurn || this.#input.length < WAITING_MAX;
    if (open === this.#open) return;
    this.#open = open;
    this.#wire.flow(open);
  }

  #greeting(): Pick<MailClient, "helo" | "esmtp" | "tls"> {
    return { helo: this.#helo, esmtp: this.#esmtp, tls: this.#tls };
  }

  /** False: the session is over, and stays so. */
  #enter(state: Exclude<State, "ended">): boolean {
    if (this.ended) return false;
    this.#state = state;
    if (state === "waiting") this.#regulate();
    this.#setTime();
    return true;
  }

  #who(): log.LogPeer {
    const { id, peer } = this.#context;
    const user = this.#login?.user ?? null;
    return { id, ip: peer.ip, tls: this.#tls?.protocol ?? null, user };
  }
}
