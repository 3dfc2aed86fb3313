/**
 * Quoting of addresses (RFC 5321 and RFC 5322; C qmail: quote.c).
 *
 * The two RFCs do not quote alike; this quotes as little as both allow, so that one form serves SMTP
 * commands and header fields. Bytes above 127 are quoted as they are: there is no encoding for them.
 */

const DOT_ATOM = /^[!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]+(?:\.[!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]+)*$/;

/** Whether `box` cannot be written without quotes as the local part of an address. */
export function quoteNeeded(box: string): boolean {
  return !DOT_ATOM.test(box);
}

/** The local part `box`, in quotes if it needs them. */
export function quote(box: string): string {
  return quoteNeeded(box) ? `"${box.replace(/[\r\n"\\]/g, "\\$&")}"` : box;
}

/** `box@host` with its local part quoted if it needs it; the empty address stays empty. */
export function quoteAddress(address: string): string {
  if (address === "") return "";
  const at = address.lastIndexOf("@");
  return at < 0 ? quote(address) : quote(address.slice(0, at)) + address.slice(at);
}
