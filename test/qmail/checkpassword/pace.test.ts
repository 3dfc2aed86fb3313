/** Nobody learns from the time that a failed login takes who is a user. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { FAILED_MS, failedAnswer, type Pace } from "../../../qmail/checkpassword/pace.ts";
import type { Check } from "../../../qmail/checkpassword/system.ts";
import type { Wire } from "../../../qmail/net/connection.ts";
import { NO_GUARD } from "../../../qmail/net/login-brakes.ts";
import { formatRefusal } from "../../../qmail/pop3d/login-request.ts";
import { Visitor } from "../../../qmail/pop3d/visitor.ts";
import { Login } from "../../../qmail/smtpd/login.ts";

/** A clock that only goes on when somebody works or waits. */
class FakePace implements Pace {
  #now = 12.5;
  now(): number {
    return this.#now;
  }
  async sleep(ms: number): Promise<void> {
    assert.ok(ms >= 0);
    this.#now += ms;
  }
  work(ms: number): void {
    this.#now += ms;
  }
}

/** What a check takes, in milliseconds, and what comes of it: as an audit has measured it. */
const LOGINS: Readonly<Record<string, readonly [number, Check]>> = {
  nobody: [87, "refused"],
  user: [43, "refused"],
  locked: [5, "refused"],
  unsaid: [1, "temporary"],
};

/** Tries each login `count` times, the checks being of uneven length; the median answer of each in milliseconds. */
async function medians(
  count: number,
  answer: (pace: FakePace, login: string) => Promise<void>,
): Promise<number[]> {
  const pace = new FakePace();
  const all: number[] = [];
  for (const login of Object.keys(LOGINS)) {
    const times: number[] = [];
    for (let n = 0; n < count; n++) {
      const began = pace.now();
      await answer(pace, login);
      times.push(pace.now() - began);
    }
    all.push(times.sort((a, b) => a - b)[count >> 1] as number);
  }
  return all;
}

function checked(pace: FakePace, login: string): Check {
  const [ms, status] = LOGINS[login] as (typeof LOGINS)[string];
  pace.work(ms * (0.5 + Math.random()));
  return status;
}

const evenly = (times: readonly number[]) => {
  for (const time of times) assert.ok(Math.abs(time - FAILED_MS) < 1e-6, String(times));
};

test("AUTH fails at the same time for who is a user and who is none", async () => {
  const times = await medians(101, async (pace, user) => {
    const store = { check: async (login: string) => checked(pace, login) };
    const login = new Login({ store, guard: NO_GUARD, host: "x", withoutTls: true, pace });
    login.begin(`PLAIN ${Buffer.from(`\0${user}\0guess`).toString("base64")}`, false);
    assert.match((await login.next()).reply, /^(535|454) /);
  });
  evenly(times);
});

test("POP3 fails at the same time for who is a user and who is none", async () => {
  const times = await medians(101, (pace, user) => {
    return new Promise((resolve) => {
      let helper: Duplex | null = null;
      const connect = () => {
        helper = new Duplex({
          read() {},
          write(_request, _encoding, done) {
            const check = checked(pace, user);
            // A checkpassword program that refuses just hangs up.
            if (check === "refused" && Math.random() < 0.5) this.destroy();
            else if (check !== "ok") this.push(formatRefusal(check));
            done();
          },
        });
        setImmediate(() => helper?.emit("connect"));
        return helper as Socket;
      };
      const wire: Wire = {
        write: () => true,
        end: () => resolve(),
        flow() {},
        startTls() {},
        allow() {},
        extend() {},
      };
      const env = {
        PROTO: "",
        TCPREMOTEIP: "",
        TCPREMOTEPORT: "",
        TCPLOCALIP: "",
        TCPLOCALPORT: "",
      };
      const visitor = new Visitor(
        {
          ...{ session: 1, ip: "192.0.2.1", env, timestamp: "", canTls: false, withoutTls: true },
          ...{ guard: NO_GUARD, pace, connect, log() {} },
          limits: () => ({ loginMs: 1000, idleMs: 1000, maxErrors: 20 }),
        },
        wire,
      );
      visitor.receive(Buffer.from(`USER ${user}\r\nPASS guess\r\n`));
    });
  });
  evenly(times);
});

test("a check that takes longer is answered at the next multiple", async () => {
  for (const [ms, at] of [
    [0, 500],
    [499, 500],
    [501, 1000],
    [1700, 2000],
  ] as const) {
    const pace = new FakePace();
    const began = pace.now();
    pace.work(ms);
    await failedAnswer(began, pace);
    assert.equal(pace.now() - began, at);
  }
});
