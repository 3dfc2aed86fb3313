/** POP3 sessions on input of any kind: each line has its one reply, and only QUIT removes anything. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Wire } from "../../../qmail/net/connection.ts";
import { Authorization } from "../../../qmail/pop3d/authorization.ts";
import { Mailbox } from "../../../qmail/pop3d/mailbox.ts";
import { Session } from "../../../qmail/pop3d/session.ts";

/** Runs of each property; more by hand: FUZZ_RUNS=100000. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 500);

const LIMITS = { loginMs: 60_000, idleMs: 600_000, maxErrors: 20 };
const ENDLESS = { ...LIMITS, maxErrors: Number.POSITIVE_INFINITY };

/** Notes what is said, and has room for as much as it is told. */
class NotingWire implements Wire {
  said = "";
  ended = false;
  open = true;
  /** Bytes that are taken before the client has to read. */
  room = Number.POSITIVE_INFINITY;

  write(data: string | Uint8Array): boolean {
    this.said += typeof data === "string" ? data : Buffer.from(data).toString("latin1");
    return this.said.length <= this.room;
  }

  end(): void {
    this.ended = true;
  }

  flow(open: boolean): void {
    this.open = open;
  }

  startTls(): void {}

  allow(): void {}

  extend(): void {}
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

const raw = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const number = fc.constantFrom("", "0", "1", "2", "3", "4", "-1", "1 1", "2 0", "9".repeat(400));
const verb = fc.constantFrom(
  ..."STAT LIST UIDL RETR TOP DELE RSET LAST NOOP CAPA QUIT user PASS apop stls x".split(" "),
);
const line = fc.tuple(verb, number).map(([word, argument]) => `${word} ${argument}\r\n`);
const input = fc
  .array(fc.oneof({ weight: 6, arbitrary: line }, raw), { maxLength: 30 })
  .map((parts) => parts.join(""));
const size = fc.integer({ min: 1, max: 200 });

function inPieces(text: string, piece: number): Buffer[] {
  const bytes = Buffer.from(text, "latin1");
  const count = Math.ceil(bytes.length / piece);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * piece, (at + 1) * piece));
}

test("before a login: a reply for each line, in one line or a listing, until the end", async () => {
  await fc.assert(
    fc.asyncProperty(input, size, fc.boolean(), async (text, piece, withoutTls) => {
      const wire = new NotingWire();
      const logins: string[] = [];
      let ends = 0;
      const session = new Authorization(
        {
          timestamp: "<1.2@mail.test>",
          canTls: false,
          withoutTls,
          limits: () => LIMITS,
          login: (...words) => void logins.push(...words),
          ended: () => void ends++,
        },
        wire,
      );
      session.greet();
      for (const bytes of inPieces(text, piece)) if (wire.open) session.receive(bytes);
      session.inputEnd();
      assert.equal(logins.length > 0 ? 0 : 1, ends);
      if (!withoutTls) assert.deepEqual(logins, []);
      for (const word of logins) assert.doesNotMatch(word, /[\0\n]/);
      assert.match(wire.said, /^(?:(?:\+OK|-ERR)[ -~]*\r\n|[A-Z-]+\r\n|\.\r\n)+$/);
    }),
    { numRuns },
  );
});

interface Maildir extends Disposable {
  readonly path: string;
  left(): string[];
  fill(): void;
}

/** Messages of which the third could be taken for the end of a listing. */
function makeMaildir(): Maildir {
  const path = mkdtempSync(join(tmpdir(), "qmailctl-pop3-fuzz-"));
  for (const sub of ["new", "cur", "tmp"]) mkdirSync(join(path, sub));
  return {
    path,
    left: () =>
      ["new", "cur"]
        .flatMap((sub) => readdirSync(join(path, sub)))
        .map((name) => name.slice(0, 1))
        .sort(),
    fill() {
      for (const sub of ["new", "cur"]) {
        for (const name of readdirSync(join(path, sub))) rmSync(join(path, sub, name));
      }
      for (const [at, text] of ["one\n\nx\n", "two", ".\n\n.\n..\n"].entries()) {
        const file = join(path, "new", `${at + 1}.host`);
        writeFileSync(file, text);
        utimesSync(file, 1000 + at, 1000 + at);
      }
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true }),
  };
}

/** The messages that QUIT removes after `lines`, as RFC 1939 has it; null when there is no QUIT. */
function removed(lines: readonly string[]): Set<string> | null {
  const marked = new Set<string>();
  for (const each of lines) {
    const [word = "", argument = ""] = each.trimEnd().split(/ +/);
    if (word === "DELE" && /^[123]$/.test(argument)) marked.add(argument);
    else if (word === "RSET") marked.clear();
    else if (word === "QUIT") return marked;
  }
  return null;
}

/** Replies in `said`: each begins with its status, listings and messages end in a dot. */
function countReplies(said: string, lines: readonly string[]): number {
  let rest = said;
  let count = 0;
  for (const each of ["(greeting)", ...lines]) {
    const [word = "", argument = ""] = each.trimEnd().split(/ +/);
    const status = /^(\+OK|-ERR)[ -~]*\r\n/.exec(rest);
    if (!status) break;
    rest = rest.slice(status[0].length);
    count++;
    const listing =
      ["RETR", "TOP", "CAPA"].includes(word) || (/^(LIST|UIDL)$/.test(word) && argument === "");
    if (status[1] !== "+OK" || !listing) continue;
    const end = /^(?:(?!\.\r\n)[^\r\n]*\r\n)*\.\r\n/.exec(rest);
    assert.ok(end, JSON.stringify(rest));
    rest = rest.slice(end[0].length);
  }
  assert.equal(rest, "");
  return count;
}

test("behind a login: one reply for each command, and QUIT alone removes what is marked", async () => {
  using maildir = makeMaildir();
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 25 }), size, async (lines, piece) => {
      maildir.fill();
      const wire = new NotingWire();
      const session = new Session(new Mailbox(maildir.path, 9000), ENDLESS, wire);
      session.greet();
      for (const bytes of inPieces(lines.join(""), piece)) {
        session.receive(bytes);
        while (!wire.open) await settled();
      }
      for (let turn = 0; turn < 30; turn++) await settled();
      session.inputEnd();
      const quit = lines.findIndex((each) => each.startsWith("QUIT"));
      const answered = quit < 0 ? lines.length : quit + 1;
      assert.equal(countReplies(wire.said, lines.slice(0, answered)), 1 + answered);
      const gone = removed(lines) ?? new Set();
      assert.deepEqual(
        maildir.left(),
        ["1", "2", "3"].filter((name) => !gone.has(name)),
      );
    }),
    { numRuns: numRuns / 2 },
  );
});

test("behind a login: any bytes end in an end, and remove nothing without QUIT", async () => {
  using maildir = makeMaildir();
  maildir.fill();
  await fc.assert(
    fc.asyncProperty(input, size, async (text, piece) => {
      const wire = new NotingWire();
      const session = new Session(new Mailbox(maildir.path, 9000), ENDLESS, wire);
      for (const bytes of inPieces(text.replace(/quit/gi, "quiz"), piece)) session.receive(bytes);
      session.inputEnd();
      for (let turn = 0; turn < 40 && !session.ended; turn++) await settled();
      assert.ok(session.ended && wire.ended);
      assert.equal(maildir.left().length, 3);
    }),
    { numRuns: numRuns / 2 },
  );
});

test("a client that does not read gets no more replies, and all of them when it does", async (t: TestContext) => {
  using maildir = makeMaildir();
  maildir.fill();
  const wire = new NotingWire();
  wire.room = 1000;
  const session = new Session(new Mailbox(maildir.path, 9000), ENDLESS, wire);
  session.receive(Buffer.from("UIDL\r\n".repeat(3000) + "RETR 1\r\n".repeat(3000)));
  session.inputEnd();
  await settled();
  t.diagnostic(`${wire.said.length} bytes are waiting`);
  assert.ok(wire.said.length < 1500 && !session.ended);
  for (let turns = 0; !session.ended; turns++) {
    assert.ok(turns < 100_000);
    wire.room = wire.said.length + 1000;
    session.drained();
    await settled();
  }
  assert.equal(wire.said.match(/^1 1\.host\r$/gm)?.length, 3000);
  assert.equal(wire.said.match(/^one\r$/gm)?.length, 3000);
});
