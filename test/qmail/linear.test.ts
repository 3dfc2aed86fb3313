/**
 * Every parser of strangers' bytes takes time in proportion to them: whoever can have something read must not be able
 * to stand a process still. Each gets, at the largest size that it is ever given, what has made parsers slow before.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { TEXTS } from "../../commands/log/explain/explanations.ts";
import { printable } from "../../commands/printable.ts";
import { decode, parseHeader } from "../../commands/queue/header.ts";
import { parseAnswer } from "../../qmail/dns/message.ts";
import { parseResolvConf } from "../../qmail/dns/resolv-conf.ts";
import { asciiName } from "../../qmail/dns/resolver.ts";
import { HeaderBody } from "../../qmail/inject/headerbody.ts";
import { tokenise, unparse, unquote } from "../../qmail/inject/token822.ts";
import { FromQuoter } from "../../qmail/local/from-quoter.ts";
import { parseDoorLine } from "../../qmail/log/door-lines.ts";
import { classify } from "../../qmail/log/other-lines.ts";
import { findMessageId } from "../../qmail/message-id.ts";
import { plainAddress } from "../../qmail/net/address.ts";
import { quoteAddress } from "../../qmail/quote.ts";
import { chooseMechanisms } from "../../qmail/remote/auth.ts";
import { BlastEncoder } from "../../qmail/remote/blast.ts";
import { isNamedBy, parseStsPolicy, parseStsRecord, stsHost } from "../../qmail/remote/mta-sts.ts";
import { parseExtensions, ReplyReader } from "../../qmail/remote/reply.ts";
import { parseParagraph, recipientFields, statusCode } from "../../qmail/send/dsn-fields.ts";
import { logSafe } from "../../qmail/send/log.ts";
import { parseAddress, parseParameters } from "../../qmail/smtpd/addrparse.ts";
import { Blast } from "../../qmail/smtpd/blast.ts";
import { parseSmtpdLine } from "../../qmail/smtpd/log.ts";

const KB = 1024;
const MB = 1024 * KB;

interface Parser {
  /** The most bytes that it is given. */
  readonly size: number;
  /** What stands before and behind the nasty part. */
  readonly around?: readonly (readonly [string, string])[];
  readonly parse: (text: string) => unknown;
  /** Instead of all that is nasty: what it takes byte by byte takes a while. */
  readonly nasty?: readonly string[];
}

const bytes = (text: string) => Buffer.from(text, "latin1");

function* each(text: string, size: number): Generator<Buffer> {
  const all = bytes(text);
  for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
}

function inPieces(push: (piece: Buffer) => unknown, text: string, size: number): void {
  for (const piece of each(text, size)) push(piece);
}

const ENDLESS = /Endless/;

/** A server's reply in pieces; one that has no end is cut off. */
function reply(text: string, size: number): void {
  const reader = new ReplyReader();
  try {
    inPieces((piece) => reader.push(piece), text, size);
  } catch (error) {
    if (!ENDLESS.test((error as Error).constructor.name)) throw error;
  }
}

const QUESTION = { id: 1, name: "a.test", type: "TXT" } as const;
/** An answer to it that claims 65,535 records. */
const DNS_HEAD = "\0\x01\x80\0\0\x01\xff\xff\0\0\0\0\x01a\x04test\0\0\x10\0\x01";

const PARSERS: Readonly<Record<string, Parser>> = {
  "a server's reply, byte by byte": {
    size: MB,
    nasty: ["1", "\r", "\n", "250-a\r\n", "250 a\r\n"],
    parse: (text) => reply(text, 1),
  },
  "a server's reply": { size: MB, parse: (text) => reply(text, 64 * KB) },
  "what a server offers": {
    size: 10 * KB,
    around: [["250-x\n250-", "\n"]],
    parse: (text) => parseExtensions({ code: 250, text }),
  },
  "ways to log in": {
    size: 10 * KB,
    parse: (text) => chooseMechanisms(text, { user: "a", password: "b" }),
  },
  "an MTA-STS record": {
    size: 64 * KB,
    around: [
      ["v=STSv1; id", ";"],
      ["v=STSv1; id=", ";"],
      ["v=STSv1;", ""],
    ],
    parse: parseStsRecord,
  },
  "an MTA-STS policy": {
    size: 64 * KB,
    around: [
      ["version: STSv1\nmode:", "\ry"],
      ["mode:", "x\ry"],
      ["mode: x", "\ry"],
    ],
    parse: parseStsPolicy,
  },
  "servers of an MTA-STS policy": {
    size: 64 * KB,
    parse: (text) =>
      isNamedBy({ mode: "enforce", mx: text.split("\n"), maxAge: 1 }, `a.${text.slice(0, 250)}`),
  },
  "a domain with a policy": { size: MB, parse: stsHost },
  "a name": { size: MB, parse: asciiName },
  "a DNS answer": {
    size: 64 * KB,
    nasty: ["\0", "\x01a", "\x3fa", "\xc0\x0c", "\xc0\x19", "\xff", "\0\0\x10\0\x01\0\0\0\0\0\0"],
    around: [
      [DNS_HEAD, ""],
      [`${DNS_HEAD}\xc0\x0c\0\x10\0\x01\0\0\0\0\xff\xff`, ""],
    ],
    parse: (text) => parseAnswer(bytes(text.slice(0, 65_535)), QUESTION),
  },
  "name servers": { size: 64 * KB, around: [["nameserver ", ""]], parse: parseResolvConf },
  "a message that is sent": {
    size: MB,
    parse: (text) => {
      const encoder = new BlastEncoder();
      inPieces((piece) => encoder.push(piece), text, MB);
    },
  },
  "a message that is taken": {
    size: MB,
    parse: (text) => {
      const blast = new Blast();
      inPieces((piece) => blast.push(Buffer.from(piece)), text, 64 * KB);
    },
  },
  "a message that is taken, byte by byte": {
    size: 256 * KB,
    nasty: ["a", ".", "\r", "\r\n", "a\r\n", "\r\n."],
    parse: (text) => {
      const blast = new Blast();
      inPieces((piece) => blast.push(Buffer.from(piece)), text, 1);
    },
  },
  "an address in SMTP": {
    size: 4 * KB,
    around: [
      ["<", ">"],
      ["<a@", ">"],
      ['<"', '"@b>'],
      ["<", ""],
      ["", ""],
    ],
    parse: parseAddress,
  },
  "parameters in SMTP": { size: 4 * KB, parse: parseParameters },
  "an address to be quoted": { size: 64 * KB, around: [["", "@b"]], parse: quoteAddress },
  "an address of a socket": { size: KB, parse: plainAddress },
  "a header, cut into fields": {
    size: MB,
    around: [
      ["", "\n\nx"],
      ["Subject: ", "\n\nx"],
      ["From ", "\n\n"],
    ],
    parse: (text) => {
      const header = new HeaderBody(() => {});
      inPieces((piece) => header.push(piece), text, 4 * KB);
      header.end();
    },
  },
  "addresses in a header": {
    size: 64 * KB,
    parse: (text) => {
      const tokens = tokenise(text);
      if (tokens) unparse(tokens);
      if (tokens) unquote(tokens);
    },
  },
  "a Message-ID": {
    size: 64 * KB,
    around: [
      ["Message-ID", "\n"],
      ["Message-ID: ", "\n"],
      ["Message-ID: <", "\n"],
    ],
    parse: findMessageId,
  },
  "a message for an mbox": {
    size: MB,
    parse: (text) => {
      const quoter = new FromQuoter();
      for (const piece of each(text, 64 * KB)) for (const _ of quoter.push(piece));
      for (const _ of quoter.end());
    },
  },
  "a header, for a person": { size: 256 * KB, parse: (text) => parseHeader(bytes(text)) },
  "a field, for a person": {
    size: 256 * KB,
    around: [
      ["", ""],
      ["=?utf-8?q?", "?="],
      ["=?utf-8?b?", "?="],
      ["=?".repeat(40), ""],
      ["=?a*", "?q?x"],
    ],
    parse: decode,
  },
  "text for a terminal": { size: 64 * KB, parse: printable },
  "text for the log": { size: 64 * KB, parse: logSafe },
  "a paragraph of a bounce": {
    size: 64 * KB,
    around: [
      ["<a@b>:\n", "\n"],
      ["<", ">:\nx\n"],
      ["", ""],
    ],
    parse: (text) => {
      const failure = parseParagraph(text);
      if (failure) recipientFields(failure);
      statusCode(text);
    },
  },
  "a line of a door": { size: 4 * KB, parse: parseDoorLine },
  "a line of qmail-smtpd": { size: 4 * KB, parse: parseSmtpdLine },
  "a line of the log": { size: 4 * KB, parse: (text) => classify(text, "tag") },
  "an error, to be explained": {
    size: 4 * KB,
    parse: (text) => TEXTS.filter(({ pattern }) => pattern.test(text)),
  },
};

/** What has made parsers slow: much of one thing that might be the beginning of another. */
const NASTY = [
  ..." \t\r\n\0a1.,:;@<>()[]{}\"'\\/*?=-_%&!|\x7f\x80\xff\xc0\xc3",
  "=?",
  "?=",
  "=?a?q?",
  "=?a*",
  "?= ",
  "\r\n",
  "\r\n.",
  "\n ",
  "\n\n",
  "a ",
  "a.",
  "a,",
  "a:",
  "a@b,",
  "(a",
  '"a',
  "<a",
  "\\(",
  "id=",
  "mx: a.b\n",
  "From ",
  "\nFrom ",
  "\nMessage-ID ",
  "Received: x\n",
  "250-a\r\n",
  "250 a\r\n",
  "4.4.",
  "*.",
  "xn--",
  "\xc3\xa4",
  "\xc0\x0c",
  "\x01a",
] as const;

/** Less than this is no harm, however it grows. */
const HARMLESS_MS = 100;
/** Twice as much may take so many times as long: twice, and what the machine adds. */
const RATIO_MAX = 3;
const TRIES = 5;

/** Processor time: others on the machine take none of it. */
function cpuMs(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Why `parse` is too slow for `nasty`; null when it is not. */
function fault(
  { size, parse }: Parser,
  [before, behind]: readonly [string, string],
  nasty: string,
) {
  const room = size - before.length - behind.length;
  const input = (bytes: number) => before + nasty.repeat(bytes / nasty.length) + behind;
  const [half, whole] = [input(room / 2), input(room)];
  let said = "";
  for (let tries = 1; tries <= TRIES; tries++) {
    const first = cpuMs(() => parse(half));
    // To wait for the whole would take minutes.
    const second = first > 3000 ? Number.POSITIVE_INFINITY : cpuMs(() => parse(whole));
    if (second < HARMLESS_MS || second / first < RATIO_MAX) return null;
    said = `${first.toFixed(0)} ms for half, ${second.toFixed(0)} ms for all of ${size} bytes`;
    if (second === Number.POSITIVE_INFINITY) break;
  }
  return said;
}

for (const [name, parser] of Object.entries(PARSERS)) {
  test(`${name} takes time in proportion to its length`, () => {
    for (const around of parser.around ?? [["", ""]]) {
      for (const nasty of parser.nasty ?? NASTY) {
        const what = JSON.stringify(`${around[0]} ${nasty} ... ${around[1]}`);
        assert.equal(fault(parser, around as [string, string], nasty), null, what);
      }
    }
  });
}

test("a parser that is slow is found", () => {
  const slow: Parser = { size: 32 * KB, parse: (text) => /\s+$/.exec(text) };
  assert.ok(fault(slow, ["x", "y"], " "));
});
