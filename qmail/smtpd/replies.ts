/** Every SMTP reply, one function each; the words and codes are those of qmail-smtpd, where it has them. */

export function greeting(name: string): string {
  return `220 ${name} ESMTP\r\n`;
}

export function helo(name: string): string {
  return `250 ${name}\r\n`;
}

/** `databytes` 0 means that there is no limit. */
export function ehlo(name: string, databytes: number): string {
  return `250-${name}\r\n250-PIPELINING\r\n250-SIZE ${databytes}\r\n250 8BITMIME\r\n`;
}

export function ok(): string {
  return "250 ok\r\n";
}

/** RSET. */
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

/** The queue did not take the message; `text` is its reason. */
export function queueFailed(permanent: boolean, text: string): string {
  return `${permanent ? 554 : 451} ${text}\r\n`;
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

/** A newline without its carriage return, or the reverse: such data can smuggle a message through a careless relay. */
export function bareNewline(): string {
  return "451 See https://cr.yp.to/docs/smtplf.html.\r\n";
}

export function lineTooLong(): string {
  return "500 line too long (#5.5.2)\r\n";
}

export function notSupportedYet(what: string): string {
  return `451 ${what} is not supported yet (#4.3.0)\r\n`;
}

export function timeout(): string {
  return "451 timeout (#4.4.2)\r\n";
}

export function busy(): string {
  return "421 too many connections, try again later (#4.3.2)\r\n";
}

export function closing(name: string): string {
  return `421 ${name} is going down, try again later (#4.3.2)\r\n`;
}
