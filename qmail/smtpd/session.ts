/**
 * One SMTP session: bytes in, replies out (RFC 5321; qmail-smtpd(8)). Knows no sockets.
 *
 *   commands ──DATA──> data ──CR LF . CR LF──> queueing ──answer──> commands
 *
 * While the queue is asked, what the client sends waits, so replies come in the order of commands.
 */

import type { Qmail, QueueDoor } from "../queue/qmail.ts";
import { parseAddress, parseParameters, replaceOwnAddress } from "./addrparse.ts";
import { Blast, MAX_HOPS } from "./blast.ts";
import { isBadMailFrom, recipientVerdict, type SmtpdControls } from "./controls.ts";
import * as log from "./log.ts";
import { type Peer, receivedLine } from "./received.ts";
import * as replies from "./replies.ts";

/** A command line may be so long; RFC 5321 asks for 512, extensions for more. */
const LINE_MAX = 4096;
/** Bytes of recipients held for one message: some 20,000 ordinary addresses. */
const RECIPIENTS_MAX = 1 << 20;

/** Values of BODY= that 8BITMIME knows (RFC 6152). */
const BODIES = new Set(["7BIT", "8BITMIME"]);

const LF = 10;
const NOTHING = Buffer.alloc(0);

export interface SessionContext {
  /** Names the session in the log. */
  readonly number: number;
  readonly peer: Peer;
  readonly queue: QueueDoor;
  /** As they are when the session begins. */
  readonly controls: SmtpdControls;
  /** Bytes of the largest message, 0 for no limit. */
  readonly databytes: number;
  /** Set: any recipient is taken, with this behind it. */
  readonly relayclient: string | null;
  readonly isOwnAddress: (ip: string) => boolean;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly log: (line: string) => void;
  write(reply: string): void;
  /** Everything is said: flush and close. */
  end(): void;
  /** False: no more input for now; true: go on. */
  flow(open: boolean): void;
}

/** A message that is coming in. */
interface Incoming {
  readonly blast: Blast;
  /** Null when it is refused already and only its end is awaited. */
  message: Qmail | null;
  bytes: number;
}

export class Session {
  readonly #context: SessionContext;
  #input: Buffer = NOTHING;
  #state: "commands" | "data" | "busy" | "ended" = "commands";
  #helo: string | null = null;
  #esmtp = false;
  #sender: string | null = null;
  #recipients: string[] = [];
  #recipientBytes = 0;
  #incoming: Incoming | null = null;
  #inputEnded = false;
  /** The rest of a command line that is too long is thrown away. */
  #tooLong = false;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** True while a message comes in or is being queued. */
  get receiving(): boolean {
    return this.#state === "data" || this.#state === "busy";
  }

  greet(): void {
    this.#context.write(replies.greeting(this.#context.controls.greeting));
  }

  /** Bytes from the client. */
  receive(chunk: Buffer): void {
    if (this.#state === "ended") return;
    this.#input = this.#input.length > 0 ? Buffer.concat([this.#input, chunk]) : chunk;
    this.#run();
  }

  /** The client sends no more, but may still listen: what it has sent is answered, then we hang up. */
  inputEnd(): void {
    this.#inputEnded = true;
    if (this.#state !== "busy") this.#hangUp();
  }

  /** The client has gone without QUIT. */
  closed(why: string): void {
    if (this.#state === "ended") return;
    this.#incoming?.message?.abort();
    this.#state = "ended";
    this.#context.log(log.broken(this.#context.number, this.#context.peer.ip, why));
  }

  /** We break off: says `reply` and closes. */
  dismiss(reply: string, why: string): void {
    this.#context.write(reply);
    this.closed(why);
    this.#context.end();
  }

  #run(): void {
    while (this.#input.length > 0) {
      if (this.#state === "commands") {
        if (!this.#nextCommand()) return;
      } else if (this.#state === "data") this.#data();
      else return;
    }
  }

  /** False when no whole line is there. */
  #nextCommand(): boolean {
    const end = this.#input.indexOf(LF);
    if (end < 0) {
      if (this.#input.length > LINE_MAX) this.#tooLong = true;
      // Of a line that is too long only its end is still wanted.
      if (this.#tooLong) this.#input = NOTHING;
      return false;
    }
    if (this.#tooLong || end > LINE_MAX) {
      this.#tooLong = false;
      this.#input = this.#input.subarray(end + 1);
      this.#context.write(replies.lineTooLong());
      return true;
    }
    const line = this.#input.toString("latin1", 0, end).replace(/\r$/, "");
    this.#input = this.#input.subarray(end + 1);
    const space = line.indexOf(" ");
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
    this.#command(verb, space < 0 ? "" : line.slice(space + 1).trimStart());
    return true;
  }

  #command(verb: string, argument: string): void {
    const { controls, databytes, write } = this.#context;
    switch (verb) {
      case "HELO":
      case "EHLO":
        this.#reset();
        this.#helo = argument;
        this.#esmtp = verb === "EHLO";
        write(
          this.#esmtp
            ? replies.ehlo(controls.greeting, databytes)
            : replies.helo(controls.greeting),
        );
        break;
      case "MAIL":
        this.#mail(argument);
        break;
      case "RCPT":
        this.#rcpt(argument);
        break;
      case "DATA":
        this.#startData();
        break;
      case "RSET":
        this.#reset();
        write(replies.flushed());
        break;
      case "NOOP":
        write(replies.ok());
        break;
      case "VRFY":
        write(replies.vrfy());
        break;
      case "HELP":
        write(replies.help());
        break;
      case "QUIT":
        write(replies.quit(controls.greeting));
        this.#state = "ended";
        this.#context.end();
        break;
      default:
        write(replies.unimplemented());
    }
  }

  #reset(): void {
    this.#sender = null;
    this.#recipients = [];
    this.#recipientBytes = 0;
  }

  #mail(argument: string): void {
    const { controls, databytes, write } = this.#context;
    const parsed = parseAddress(argument);
    if (!parsed) {
      write(replies.syntax());
      return;
    }
    this.#reset();
    const parameters = parseParameters(parsed.rest);
    const size = parameters.get("SIZE") ?? "0";
    if (!/^\d+$/.test(size) || !BODIES.has((parameters.get("BODY") ?? "7BIT").toUpperCase())) {
      write(replies.syntax());
      return;
    }
    if (databytes > 0 && Number(size) > databytes) {
      this.#refuse(replies.tooBig(), { from: parsed.address });
      return;
    }
    this.#sender = parsed.address;
    // As qmail does, a bad sender hears of it at RCPT, when clients listen.
    if (isBadMailFrom(controls, parsed.address)) {
      this.#context.log(log.warning(`sender in badmailfrom from ${this.#context.peer.ip}`));
    }
    write(replies.ok());
  }

  #rcpt(argument: string): void {
    const { write } = this.#context;
    if (this.#sender === null) {
      write(replies.wantMail());
      return;
    }
    const parsed = parseAddress(argument);
    if (!parsed || parsed.address === "") {
      write(replies.syntax());
      return;
    }
    const recipient = this.#recipient(parsed.address);
    const refusal = this.#refusal(this.#sender, recipient);
    if (refusal) {
      this.#refuse(refusal, { from: this.#sender, rcpt: recipient });
      return;
    }
    this.#recipients.push(recipient);
    this.#recipientBytes += recipient.length;
    write(replies.ok());
  }

  #recipient(address: string): string {
    const { controls, isOwnAddress, relayclient } = this.#context;
    const own = replaceOwnAddress(address, { isOwn: isOwnAddress, host: controls.localiphost });
    return relayclient === null ? own : own + relayclient;
  }

  /** The reply that refuses `recipient`; null when it is taken. */
  #refusal(sender: string, recipient: string): string | null {
    const { controls, relayclient } = this.#context;
    if (isBadMailFrom(controls, sender)) return replies.badMailFrom();
    if (this.#recipientBytes + recipient.length > RECIPIENTS_MAX)
      return replies.tooManyRecipients();
    if (relayclient !== null) return null;
    const verdict = recipientVerdict(controls, recipient);
    if (verdict === "unknown") return replies.notSupportedYet("morercpthosts.cdb");
    return verdict === "refused" ? replies.noGateway() : null;
  }

  #refuse(reply: string, what: { from: string; rcpt?: string }): void {
    const { number, peer, write } = this.#context;
    this.#context.log(log.refused(number, { ip: peer.ip, ...what, reply }));
    write(reply);
  }

  #startData(): void {
    const { peer, controls, queue, now, write } = this.#context;
    if (this.#sender === null) {
      write(replies.wantMail());
      return;
    }
    if (this.#recipients.length === 0) {
      write(replies.wantRcpt());
      return;
    }
    const message = queue.open();
    const received = receivedLine({
      peer,
      helo: this.#helo,
      protocol: this.#esmtp ? "ESMTP" : "SMTP",
      by: controls.me,
      now: now(),
    });
    message.put(Buffer.from(received, "latin1"));
    this.#incoming = { blast: new Blast(), message, bytes: 0 };
    this.#state = "data";
    write(replies.goAhead());
  }

  #data(): void {
    const incoming = this.#incoming as Incoming;
    const { state, data, rest } = incoming.blast.push(this.#input);
    this.#input = rest;
    this.#store(incoming, data);
    if (state === "end") void this.#finish(incoming);
    else if (state === "bare-newline") {
      this.dismiss(replies.bareNewline(), "bare newline");
    } else if (incoming.message?.full) void this.#drain(incoming.message);
  }

  #store(incoming: Incoming, data: Buffer): void {
    const { databytes } = this.#context;
    incoming.bytes += data.length;
    if (data.length === 0 || !incoming.message) return;
    const tooBig = databytes > 0 && incoming.bytes > databytes;
    if (tooBig || incoming.blast.hops >= MAX_HOPS) {
      incoming.message.abort();
      incoming.message = null;
      return;
    }
    incoming.message.put(data);
  }

  async #drain(message: Qmail): Promise<void> {
    this.#context.flow(false);
    await message.drained();
    this.#context.flow(true);
  }

  /** The message is whole: queue it, answer, and go on with the commands that wait. */
  async #finish({ blast, message, bytes }: Incoming): Promise<void> {
    const { number, peer, now, write, flow } = this.#context;
    const from = this.#sender ?? "";
    const recipients = this.#recipients;
    this.#incoming = null;
    this.#reset();
    if (!message) {
      this.#state = "commands";
      this.#refuse(blast.hops >= MAX_HOPS ? replies.tooManyHops() : replies.tooBig(), { from });
      return;
    }
    this.#state = "busy";
    flow(false);
    const result = await message.close(from, recipients);
    // The client may have gone meanwhile; the message is queued all the same.
    if (result.ok) {
      const { qp } = result;
      const rcpts = recipients.length;
      this.#context.log(
        log.accepted(number, { ip: peer.ip, helo: this.#helo ?? "", from, rcpts, bytes, qp }),
      );
      write(replies.accepted(now(), qp));
    } else this.#refuse(replies.queueFailed(result.permanent, result.text), { from });
    if (this.#isEnded()) return;
    this.#state = "commands";
    flow(true);
    this.#run();
    if (this.#inputEnded && !this.receiving) this.#hangUp();
  }

  #isEnded(): boolean {
    return this.#state === "ended";
  }

  #hangUp(): void {
    if (this.#state === "ended") return;
    this.closed("end of input");
    this.#context.end();
  }
}
