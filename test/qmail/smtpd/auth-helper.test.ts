/** The root part of the SMTP services before a service that keeps to no rule. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { peakMemory } from "../_process.ts";
import { rawFrame, rogueFrames } from "../net/_frames.ts";

const MIB = 1024 * 1024;
/** As the helper numbers its questions and its answer. */
const [CHECK, CRAM, SCRAM, ANSWER] = [1, 2, 3, 4];

function helper(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-auth-"));
  for (const name of ["run", "control", "users"]) mkdirSync(join(home, name));
  writeFileSync(join(home, ".sandbox"), "");
  writeFileSync(join(home, "users/password"), "joe:$scrypt$none:1:1::/nowhere:\n", { mode: 0o600 });
  const options = JSON.stringify({ command: null, cram: true, scram: true });
  const child = spawn(process.execPath, [programPath("smtpd/auth-helper"), options], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: home },
  });
  const link = child.stdio[3] as Socket;
  link.on("error", () => {});
  const exit = once(child, "exit").then(([code, signal]) => code ?? signal);
  t.after(async () => {
    link.destroy();
    await exit;
    rmSync(home, { recursive: true, force: true });
  });
  return { pid: child.pid as number, link, exit };
}

const REFUSED: readonly (readonly [string, Buffer])[] = [
  ["one word where there are two", rawFrame(CHECK as number, 1, "joe")],
  ["two words where there is one", rawFrame(SCRAM as number, 1, "joe\0x")],
  ["no words", rawFrame(CRAM as number, 1)],
  ["a password of a megabyte", rawFrame(CHECK as number, 1, Buffer.alloc(MIB, "x"))],
  ["an answer", rawFrame(ANSWER as number, 1, "{}")],
  ["a frame that is nobody's", rawFrame(99, 1)],
  ["half a frame of a gigabyte", rawFrame(CHECK as number, 1, "x", 2 ** 30)],
];

for (const [what, bytes] of REFUSED) {
  test(`${what}: the helper ends its link, and leaves in order`, async (t) => {
    const { link, exit } = helper(t);
    link.write(bytes);
    assert.equal(await exit, 0);
  });
}

test("whatever is said to it, it falls over nothing", async (t) => {
  for (let seed = 0; seed < 10; seed++) {
    const { link, exit } = helper(t);
    link.write(rogueFrames(seed, [CHECK, CRAM, SCRAM] as number[], 2000));
    assert.equal(await exit, 0, `seed ${seed}`);
  }
});

test("20,000 questions without reading: so many are answered, the rest when somebody reads", async (t) => {
  const { pid, link } = helper(t);
  const total = 20_000;
  for (let at = 0; at < total; at++) link.write(rawFrame(SCRAM as number, at, "joe"));
  // Not read for as long as anything could go on without it.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const expected = total * (9 + '{"keys":null}'.length);
  let bytes = 0;
  const answered = Promise.withResolvers<void>();
  link.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes >= expected) answered.resolve();
  });
  await answered.promise;
  assert.equal(bytes, expected);
  assert.ok(peakMemory(pid) < 250 * MIB, `${peakMemory(pid)} bytes`);
});
