/** Every SMTP reply, one function each; the words and codes are those of qmail-smtpd, where it has them. */

export function greeting(name: string): string {
  return `220 ${name} ESMTP\r\n`;
}

export function helo(name: string): string {
  return `250 ${name}\r\n`;
}

/** What EHLO offers besides what is always there. */
export interface Offer {
  /** 0 means that there is no limit. */
  readonly databytes: number;
  readonly startTls: boolean;
  /** Mechanisms of AUTH; none where it is not offered. */
  readonly auth: readonly string[];
}

/**
 * ENHANCEDSTATUSCODES is not offered: qmail has its codes behind the text, and that form is what
 * programs know. SMTPUTF8 is not: the queue has no place to keep that a message needs it.
 */
export function ehlo(name: string, { databytes, startTls, auth }: Offer): string {
  const extensions = [
    "PIPELINING",
    `SIZE ${databytes}`,
    "CHUNKING",
    ...(startTls ? ["STARTTLS"] : []),
    ...(auth.length > 0 ? [`AUTH ${auth.join(" ")}`] : []),
  ];
  const lines = [name, ...extensions].map((line) => `250-${line}\r\n`);
  return `${lines.join("")}250 8BITMIME\r\n`;
}

export function ok(): string {
  return "250 ok\r\n";
}

/** The answer to RSET. */
export function flushed(): string {
  return "250 flushed\r\n";
}

export function goAhead(): string {
  return "354 go ahead\r\n";
}

/** The message is on disk. */
export function accepted(seconds: number, qp: number): string {
  return `250 ok ${seconds} qp ${qp}\r\n`;
}

/** The queue did not take the message; `text` is its reason, or that of a QMAILQUEUE program. */
export function queueFailed(permanent: boolean, text: string): string {
  return `${permanent ? 554 : 451} ${text.replace(/[^ -~]/g, " ")}\r\n`;
}

/** The queue does not even begin to take a message. */
export function queueNotOpen(): string {
  return "451 qqt failure (#4.3.0)\r\n";
}

export function quit(name: string): string {
  return `221 ${name}\r\n`;
}

export function help(): string {
  return "214 qmail home page: https://cr.yp.to/qmail.html\r\n";
}

export function vrfy(): string {
  return "252 send some mail, i'll try my best\r\n";
}

export function unimplemented(): string {
  return "502 unimplemented (#5.5.1)\r\n";
}

export function syntax(): string {
  return "555 syntax error (#5.5.4)\r\n";
}

export function wantMail(): string {
  return "503 MAIL first (#5.5.1)\r\n";
}

export function wantRcpt(): string {
  return "503 RCPT first (#5.5.1)\r\n";
}

export function noGateway(): string {
  return "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n";
}

/** It has a control character in it. */
export function badSender(): string {
  return "553 unacceptable sender (#5.1.7)\r\n";
}

/** It has a control character in it. */
export function badRecipient(): string {
  return "553 sorry, I can't handle that recipient (#5.1.3)\r\n";
}

export function badMailFrom(): string {
  return "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\r\n";
}

export function tooBig(): string {
  return "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n";
}

export function tooManyRecipients(): string {
  return "452 too many recipients, send the rest in another message (#4.5.3)\r\n";
}

export function tooManyHops(): string {
  return "554 too many hops, this message is looping (#5.4.6)\r\n";
}

/** The header makes no sense; `why` may show what came, of which one line of printable text is shown. */
export function badHeader(why: string): string {
  const text = why
    .trim()
    .replace(/[^ -~]+/g, " ")
    .slice(0, 400);
  return `554 ${text} (#5.6.0)\r\n`;
}

/** In control/badrcptto. */
export function badRcptTo(): string {
  return "553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)\r\n";
}

/** The submission service asks who you are first. */
export function wantAuth(): string {
  return "530 Authorization required (#5.7.1)\r\n";
}

/** The sender is not one of the user's addresses. */
export function notYourSender(): string {
  return "553 sorry, that sender address does not belong to you (#5.7.1)\r\n";
}

/** A chunk is in the session's hands. */
export function chunkTaken(bytes: number): string {
  return `250 ok ${bytes} octets\r\n`;
}

/** In the middle of a message that comes by BDAT. */
export function inChunks(): string {
  return "503 BDAT LAST or RSET first (#5.5.1)\r\n";
}

/** A bare CR or LF in a chunk, where it can smuggle nothing but cannot be stored as it is. */
export function strayInChunk(): string {
  return "554 message has a bare CR or LF, see https://cr.yp.to/docs/smtplf.html (#5.6.0)\r\n";
}

export function readyForTls(): string {
  return "220 ready for tls\r\n";
}

export function tlsAlready(): string {
  return "503 TLS is on already (#5.5.1)\r\n";
}

/** The client has sent something behind STARTTLS without waiting: perhaps somebody else has. */
export function dataBeforeTls(): string {
  return "554 nothing may follow STARTTLS before TLS is on (#5.5.1)\r\n";
}

/** The next word of an AUTH exchange, in base64. */
export function challenge(text: string): string {
  return `334 ${text}\r\n`;
}

export function authOk(): string {
  return "235 ok, go ahead (#2.0.0)\r\n";
}

export function authFailed(): string {
  return "535 authorization failed (#5.7.0)\r\n";
}

export function authTemporary(): string {
  return "454 oops, unable to check your password now (#4.3.0)\r\n";
}

/** Too many failures of this client or this account lately. */
export function authBraked(): string {
  return "454 too many failed logins, wait before you try again (#4.7.0)\r\n";
}

/** Too many failures in this session. */
export function tooManyFailures(): string {
  return "421 too many failed logins (#4.7.0)\r\n";
}

export function authCancelled(): string {
  return "501 auth exchange cancelled (#5.0.0)\r\n";
}

export function authMalformed(): string {
  return "501 malformed auth input (#5.5.4)\r\n";
}

export function authUnknown(): string {
  return "504 auth type unimplemented (#5.5.1)\r\n";
}

export function authAlready(): string {
  return "503 you're already authenticated (#5.5.0)\r\n";
}

export function authInTransaction(): string {
  return "503 no auth during mail transaction (#5.5.0)\r\n";
}

/** A password must not cross the network for all to read. */
export function authNeedsTls(): string {
  return "538 Encryption required for requested authentication mechanism (#5.7.11)\r\n";
}

/** A newline without its carriage return, or the reverse: such data can smuggle a message through a careless relay. */
export function strayNewline(): string {
  return "451 See https://cr.yp.to/docs/smtplf.html.\r\n";
}

export function lineTooLong(): string {
  return "500 line too long (#5.5.2)\r\n";
}

export function unableToReadControls(): string {
  return "421 unable to read controls (#4.3.0)\r\n";
}

export function timeout(): string {
  return "451 timeout (#4.4.2)\r\n";
}

export function busy(): string {
  return "421 too many connections, try again later (#4.3.2)\r\n";
}

export function goingDown(): string {
  return "421 going down, try again later (#4.3.2)\r\n";
}

/** Errors, and commands that bring nothing forward, without a message. */
export function tooManyErrors(): string {
  return "421 too many errors (#4.7.0)\r\n";
}

/** The session has lasted for so long that another may have the place. */
export function tooLong(): string {
  return "421 this session has lasted too long, come again (#4.4.2)\r\n";
}

/** A request of HTTP, or a header field, where a command should be. */
export function notSmtp(): string {
  return "502 this is SMTP (#5.5.1)\r\n";
}

/** The filesystem of the queue is nearly full. */
export function noRoom(): string {
  return "452 no room for more mail now, try again later (#4.3.1)\r\n";
}
