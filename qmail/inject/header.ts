/**
 * The header of a message on its way in (qmail-header(5); C qmail: qmail-inject.c): completes the
 * addresses, learns from them who sends to whom, and adds what is missing.
 */

import { quote, quoteAddress } from "../quote.ts";
import { addressList } from "./addresslist.ts";
import { fieldName, fieldRole, isResent, isUnsent } from "./headerfield.ts";
import type { Identity } from "./identity.ts";
import { dateField, messageIdField } from "./newfield.ts";
import { type Domains, rewriteAddress } from "./rewrite.ts";
import { special, type Token, tokenise, unparse, unquote } from "./token822.ts";

export interface HeaderOptions {
  readonly domains: Domains;
  readonly identity: Identity;
  readonly idhost: string;
  readonly now: number;
  readonly pid: number;
  /** The envelope sender when it is given from outside; null to look for it in the header. */
  readonly sender: string | null;
  /** Whether the header names recipients; if not, their fields need not make sense. */
  readonly useRecipients: boolean;
  /** Whether an address is a mailing list for Mail-Followup-To. */
  isList(address: string): boolean;
}

/** What the header says when it is complete; or the text of the reason why it cannot be sent. */
export type Finished =
  | { readonly header: string; readonly sender: string; readonly recipients: readonly string[] }
  | string;

/** Takes the fields of one message with `field`, then `finish`. */
export class Header {
  readonly #options: HeaderOptions;
  readonly #seen = new Set<string>();
  readonly #fields: string[] = [];
  readonly #toCc: string[] = [];
  readonly #recipients = { plain: [] as string[], resent: [] as string[] };
  /** Recipient fields that make no sense; it shows at the end whether they matter. */
  readonly #malformed: { plain?: string; resent?: string } = {};
  #sender: string | null;
  #refusal: string | null = null;

  constructor(options: HeaderOptions) {
    this.#options = options;
    this.#sender = options.sender;
  }

  /** Takes a field with its newline. */
  field(field: string): void {
    const name = fieldName(field);
    if (name === null) {
      this.#refuse(`invalid header field: ${field}`);
      return;
    }
    const { letters } = this.#options.identity;
    if (name === "from" && letters.has("f")) return;
    if (name === "message-id" && letters.has("i")) return;
    if (name === "return-path" && letters.has("s")) return;
    this.#seen.add(name);
    const rewritten = this.#rewrite(name, field);
    if (!isUnsent(name)) this.#fields.push(rewritten);
  }

  /** The complete header and the envelope. */
  finish(): Finished {
    const resent = isResent(this.#seen);
    const kind = resent ? "resent" : "plain";
    if (this.#options.useRecipients && this.#malformed[kind] !== undefined) {
      this.#refuse(unparsable(this.#malformed[kind]));
    }
    const sender = this.#sender ?? this.#defaultSender();
    const added = resent ? this.#newResentFields() : this.#newFields();
    if (this.#refusal !== null) return this.#refusal;
    const header = [...added, ...this.#fields].join("");
    return { header, sender, recipients: this.#recipients[kind] };
  }

  /** The field with its addresses completed and taken note of. */
  #rewrite(name: string, field: string): string {
    const role = fieldRole(name);
    if (role === undefined || role === "drop") return field;
    const list = this.#addressList(field);
    if (role === "sender" || role === "return-path") {
      if (list === null) this.#refuse(unparsable(field));
      if (role === "return-path") this.#returnPath(list?.addresses.at(-1));
    } else {
      const kind = role === "resent-recipient" ? "resent" : "plain";
      if (list === null) this.#malformed[kind] ??= field;
      // <> is a sender, nobody can receive it.
      const addresses = list?.addresses.filter((address) => address !== "") ?? [];
      for (const address of addresses) {
        this.#recipients[kind].push(address);
        if (role === "to-cc") this.#toCc.push(address);
      }
    }
    return list ? unparse(list.tokens) : field;
  }

  #addressList(field: string) {
    return addressList(field, (address) => rewriteAddress(address, this.#options.domains));
  }

  #returnPath(address: string | undefined): void {
    if (address !== undefined) this.#sender ??= this.#verp(address);
  }

  /** With a per-recipient VERP qmail-send is to put the recipient into the sender: `pre@host-@[]`. */
  #verp(sender: string): string {
    const wanted = this.#options.identity.letters.has("r") && sender !== "";
    return wanted ? `${sender}-@[]` : sender;
  }

  #defaultSender(): string {
    const { now, pid, identity } = this.#options;
    const { letters, senderUser, senderHost } = identity;
    let box = senderUser;
    if (letters.has("m")) box += `-${now}.${pid}`;
    if (letters.has("r")) box += "-";
    const address = this.#ownAddress(box, senderHost);
    return address ? this.#verp(unquote(address)) : "";
  }

  /** `box` at `host` or the default host, complete. */
  #ownAddress(box: string, host: string | null): readonly Token[] | null {
    const text = quote(box) + (host === null ? "" : `@${host}`);
    const tokens = tokenise(text);
    const address = tokens && rewriteAddress(tokens, this.#options.domains);
    if (!address) this.#refuse(`unable to parse address: ${text}`);
    return address;
  }

  #fromField(): string {
    const { identity } = this.#options;
    const { user, host, name } = identity;
    const address = this.#ownAddress(user, host) ?? [];
    const start: Token[] = [{ type: "atom", text: "From" }, special(":")];
    if (name === "") return unparse([...start, ...address]);
    if (identity.letters.has("c")) {
      return unparse([...start, ...address, { type: "comment", text: name }]);
    }
    const phrase: Token = { type: "quote", text: name };
    return unparse([...start, phrase, special("<"), ...address, special(">")]);
  }

  #newFields(): string[] {
    const { idhost, now } = this.#options;
    const fields: string[] = [];
    if (!this.#seen.has("date")) fields.push(dateField(now));
    if (!this.#seen.has("message-id")) fields.push(messageIdField(idhost, this.#options));
    if (!this.#seen.has("from")) fields.push(this.#fromField());
    if (!this.#has("to", "cc")) fields.push("Cc: recipient list not shown: ;\n");
    fields.push(this.#mailFollowupTo());
    return fields;
  }

  #newResentFields(): string[] {
    const { idhost, now } = this.#options;
    const fields: string[] = [];
    if (!this.#seen.has("resent-date")) fields.push(`Resent-${dateField(now)}`);
    if (!this.#seen.has("resent-message-id")) {
      fields.push(`Resent-${messageIdField(idhost, this.#options)}`);
    }
    if (!this.#seen.has("resent-from")) fields.push(`Resent-${this.#fromField()}`);
    if (!this.#has("resent-to", "resent-cc")) {
      fields.push("Resent-Cc: recipient list not shown: ;\n");
    }
    return fields;
  }

  #mailFollowupTo(): string {
    if (this.#seen.has("mail-followup-to")) return "";
    if (!this.#toCc.some((address) => this.#options.isList(address))) return "";
    return `Mail-Followup-To: ${this.#toCc.map(quoteAddress).join(",\n  ")}\n`;
  }

  #has(...names: readonly string[]): boolean {
    return names.some((name) => this.#seen.has(name));
  }

  #refuse(text: string): void {
    this.#refusal ??= text;
  }
}

function unparsable(field: string): string {
  return `unable to parse this line:\n${field}`;
}
