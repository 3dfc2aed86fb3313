/** How long the POP3 service waits, by a wire that notes what it is told of time. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Control } from "../../../qmail/control/control.ts";
import type { Wire } from "../../../qmail/net/connection.ts";
import { NO_GUARD } from "../../../qmail/net/login-brakes.ts";
import { hurriedPop3, readPop3Limits } from "../../../qmail/pop3d/limits.ts";
import { Visitor } from "../../../qmail/pop3d/visitor.ts";

const NEVER = Number.POSITIVE_INFINITY;
const LIMITS = { loginMs: 120_000, idleMs: 1_200_000, maxErrors: 20 };

/** A visitor whose login is right, what is said to it, and the times that it was allowed. */
function visit() {
  const said: string[] = [];
  const allowed: number[] = [];
  let ended = false;
  const wire: Wire = {
    write: (data) => said.push(String(data)) > 0,
    end: () => {
      ended = true;
    },
    flow() {},
    startTls() {},
    allow: (ms) => void allowed.push(ms),
    extend: () => assert.fail("nothing is earned by bytes"),
  };
  const backend = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
  const env = { PROTO: "", TCPREMOTEIP: "", TCPREMOTEPORT: "", TCPLOCALIP: "", TCPLOCALPORT: "" };
  const visitor = new Visitor(
    {
      ...{ session: 1, ip: "192.0.2.1", env, timestamp: "", canTls: false, withoutTls: true },
      ...{ guard: NO_GUARD, limits: () => LIMITS, connect: () => backend as Socket, log() {} },
    },
    wire,
  );
  visitor.greet();
  const send = (text: string) => visitor.receive(Buffer.from(text));
  return { visitor, said, allowed, backend, send, ended: () => ended };
}

test("before a login nothing gives more time", () => {
  const { visitor, said, allowed, send, ended } = visit();
  send("CAPA\r\nUSER joe\r\nNOOP\r\nUS");
  send("ER x\r\n");
  assert.equal(allowed.length, 1);
  assert.ok((allowed[0] as number) <= LIMITS.loginMs && (allowed[0] as number) > 60_000);
  assert.equal(visitor.busy, false);
  visitor.timeout();
  assert.equal(said.at(-1), "-ERR idle for too long\r\n");
  assert.equal(ended(), true);
});

test("behind it a command gives more time, and no byte less does", async () => {
  const { visitor, said, allowed, backend, send, ended } = visit();
  send("USER joe\r\nPASS pw\r\n");
  assert.equal(allowed.at(-1), NEVER);
  backend.push("+OK \r\n");
  while (said.at(-1) !== "+OK \r\n" || !visitor.busy) await new Promise(setImmediate);
  const count = allowed.length;
  assert.equal(allowed.at(-1), LIMITS.idleMs);
  for (const byte of "STAT ") send(byte);
  assert.equal(allowed.length, count);
  send("\r\n");
  assert.equal(allowed.length, count + 1);
  // What the client has taken of a long message counts as well.
  visitor.drained();
  assert.deepEqual(allowed.slice(count), [LIMITS.idleMs, LIMITS.idleMs]);
  visitor.timeout();
  assert.equal(ended(), true);
});

test("readPop3Limits(): idle sessions have ten minutes at the least, as the standard says", () => {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-pop3-limits-"));
  try {
    const control = new Control(home);
    assert.deepEqual(readPop3Limits(control), LIMITS);
    mkdirSync(join(home, "control"));
    for (const [name, text] of [
      ["timeoutpop3d", "5"],
      ["timeoutpop3login", "30"],
      ["maxerrors", "3"],
    ] as const) {
      writeFileSync(join(home, "control", name), `${text}\n`);
    }
    const limits = { loginMs: 30_000, idleMs: 600_000, maxErrors: 3 };
    assert.deepEqual(readPop3Limits(control), limits);
    const few = { loginMs: 10_000, idleMs: 600_000, maxErrors: 1 };
    assert.deepEqual(hurriedPop3(limits, 10_000), few);
  } finally {
    rmSync(home, { recursive: true });
  }
});
