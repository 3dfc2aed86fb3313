/** Sender and recipients of the message to come: what MAIL and RCPT agree to. */

import { isAddress } from "../queue/envelope.ts";
import { parseAddress, parseParameters, replaceOwnAddress } from "./addrparse.ts";
import { isListed, type SmtpdControls } from "./controls.ts";
import * as replies from "./replies.ts";
import type { Rewriting } from "./rewriting.ts";

/** A message has at most so many bytes of recipients, where their number has no limit; the rest must come in another. */
export const RECIPIENTS_MAX = 1 << 20;

/** The body types that pass: nothing is converted on its way through (RFC 6152). */
const BODY_TYPES = new Set(["7BIT", "8BITMIME"]);

export interface TransactionContext {
  readonly controls: SmtpdControls;
  readonly isOwnAddress: (ip: string) => boolean;
  /** Set: every message is from a user who has said who he is. */
  readonly submission: SubmissionPolicy | null;
  /** What becomes of addresses; null: nothing. */
  readonly rewriting: Pick<Rewriting, "sender" | "recipient"> | null;
  /** Whether there is room in the queue for so many bytes more. */
  hasRoom(bytes: number): boolean;
  /** A sender or recipient was refused. */
  refused(what: { readonly from: string; readonly to?: string; readonly reply: string }): void;
}

export interface SubmissionPolicy {
  /** Whether the sender must be one of the user's addresses. */
  readonly ownSenders: boolean;
}

/** What is known of the client. */
export interface Client {
  /** Who has logged in; null: nobody. */
  readonly user: string | null;
  /** Not null: any recipient is taken, with this behind it. */
  readonly relayclient: string | null;
}

/** From MAIL to the message's end. */
export class Transaction {
  readonly #context: TransactionContext;
  #sender: string | null = null;
  #recipients: string[] = [];
  #bytes = 0;
  #barred = false;

  constructor(context: TransactionContext) {
    this.#context = context;
  }

  /** Null before MAIL. */
  get sender(): string | null {
    return this.#sender;
  }

  get recipients(): readonly string[] {
    return this.#recipients;
  }

  reset(): void {
    this.#sender = null;
    this.#recipients = [];
    this.#bytes = 0;
  }

  /** The reply to `MAIL argument`. */
  mail(argument: string, client: Client): string {
    const parsed = parseAddress(argument);
    if (!parsed) return replies.syntax();
    const { rewriting } = this.#context;
    const from = rewriting ? rewriting.sender(parsed.address) : parsed.address;
    if (from === null) return replies.syntax();
    const refusal = this.#parameterRefusal(parsed.rest) ?? this.#senderRefusal(from, client);
    if (refusal) {
      this.#context.refused({ from, reply: refusal });
      return refusal;
    }
    this.reset();
    this.#sender = from;
    // As C qmail does it, a bad sender hears of it at RCPT.
    this.#barred = isListed(this.#context.controls.badmailfrom, from);
    return replies.ok();
  }

  /** The reply to `RCPT argument`. Throws when it needs a control file that cannot be read. */
  rcpt(argument: string, { relayclient }: Client): string {
    const from = this.#sender;
    if (from === null) return replies.wantMail();
    const parsed = parseAddress(argument);
    if (!parsed || parsed.address === "") return replies.syntax();
    const { rewriting } = this.#context;
    const address = rewriting ? rewriting.recipient(parsed.address) : parsed.address;
    if (address === null) return replies.syntax();
    const to = this.#recipient(address);
    const refusal = this.#recipientRefusal(to, relayclient !== null);
    if (refusal) {
      this.#context.refused({ from, to, reply: refusal });
      return refusal;
    }
    const recipient = to + (relayclient ?? "");
    this.#recipients.push(recipient);
    this.#bytes += recipient.length;
    return replies.ok();
  }

  /** Parameters that are not known are passed over, as C qmail does with all. */
  #parameterRefusal(rest: string): string | null {
    const { databytes } = this.#context.controls;
    let size = "0";
    if (rest !== "") {
      const parameters = parseParameters(rest);
      size = parameters.get("SIZE") ?? size;
      const body = parameters.get("BODY") ?? "7BIT";
      if (!/^\d{1,20}$/.test(size) || !BODY_TYPES.has(body.toUpperCase())) return replies.syntax();
    }
    if (databytes > 0 && Number(size) > databytes) return replies.tooBig();
    return this.#context.hasRoom(Number(size)) ? null : replies.noRoom();
  }

  #senderRefusal(sender: string, { user }: Client): string | null {
    if (!isAddress(sender)) return replies.badSender();
    const { submission, controls } = this.#context;
    if (!submission) return null;
    if (user === null) return replies.wantAuth();
    if (!submission.ownSenders || controls.senders.owns(user, sender)) return null;
    return replies.notYourSender();
  }

  #recipient(address: string): string {
    const { controls, isOwnAddress } = this.#context;
    const host = controls.localiphost;
    return host === null ? address : replaceOwnAddress(address, { isOwn: isOwnAddress, host });
  }

  #recipientRefusal(recipient: string, mayRelay: boolean): string | null {
    const { badrcptto, rcpthosts } = this.#context.controls;
    if (!isAddress(recipient)) return replies.badRecipient();
    if (this.#barred) return replies.badMailFrom();
    if (isListed(badrcptto, recipient)) return replies.badRcptTo();
    if (!mayRelay && !rcpthosts.allows(recipient)) return replies.noGateway();
    const { maxRcpt } = this.#context.controls.limits;
    const full = maxRcpt > 0 && this.#recipients.length >= maxRcpt;
    const tooLong = this.#bytes + recipient.length > RECIPIENTS_MAX;
    return full || tooLong ? replies.tooManyRecipients() : null;
  }
}
