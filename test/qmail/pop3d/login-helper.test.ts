/** The root part of the POP3 service before a service that keeps to no rule. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { hashPassword } from "../../../qmail/checkpassword/secrets.ts";
import { LOGIN_SOCKET } from "../../../qmail/pop3d/login-helper.ts";
import { formatRequest, parseAnswer, REQUEST_MAX } from "../../../qmail/pop3d/login-request.ts";
import { programPath } from "../../../qmail/programs.ts";
import { openDescriptors, peakMemory } from "../_process.ts";
import { numbers } from "../net/_frames.ts";

const MIB = 1024 * 1024;

async function helper(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), "qmailctl-login-"));
  for (const name of ["run", "control", "users"]) mkdirSync(join(home, name));
  writeFileSync(join(home, ".sandbox"), "");
  const entry = `joe:${await hashPassword("right")}:1:1::/nowhere:\n`;
  writeFileSync(join(home, "users/password"), entry, { mode: 0o600 });
  const child = spawn(process.execPath, [programPath("pop3d/login-helper")], {
    cwd: home,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: home },
  });
  const line = child.stdio[3] as Socket;
  line.on("error", () => {});
  await once(line, "data");
  t.after(async () => {
    line.destroy();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    rmSync(home, { recursive: true, force: true });
  });
  const come = async (): Promise<Socket> => {
    for (;;) {
      const socket = connect(join(home, LOGIN_SOCKET));
      const connected = await once(socket, "connect").then(
        () => true,
        () => false,
      );
      // So many want to come in that even the kernel has them wait.
      if (!connected) await new Promise(setImmediate);
      else return socket.on("error", () => {});
    }
  };
  return { pid: child.pid as number, come };
}

/** Resolves when `socket` is closed by the other side. */
function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.on("close", () => resolve());
  });
}

/** What the helper answers to a login that is none. */
async function refused(come: () => Promise<Socket>): Promise<string | null> {
  const socket = await come();
  const env = {
    PROTO: "TCP",
    TCPREMOTEIP: "",
    TCPREMOTEPORT: "",
    TCPLOCALIP: "",
    TCPLOCALPORT: "",
  };
  // Who is told to come back later may be told so before he has asked.
  socket.on("error", () => {});
  const answered = new Promise<Buffer | null>((resolve) => {
    socket.once("data", resolve);
    // What was said to him may be lost over what he says: to the service that is "temporary", too.
    socket.once("close", () => resolve(null));
  });
  socket.write(formatRequest({ login: "joe", password: "wrong", timestamp: "", env }) as Buffer);
  const answer = await answered;
  socket.destroy();
  return answer ? parseAnswer(answer) : "temporary";
}

test("whatever the service says, the helper lives and answers the next", async (t) => {
  const { pid, come } = await helper(t);
  const next = numbers(1);
  const sockets: Socket[] = [];
  for (let at = 0; at < 60; at++) {
    const socket = await come();
    sockets.push(socket);
    const bytes = Buffer.alloc(next(2 * REQUEST_MAX));
    for (let each = 0; each < bytes.length; each++) bytes[each] = next(at % 2 === 0 ? 256 : 3);
    socket.write(bytes);
  }
  const long = await come();
  for (let written = 0; written < 32 && !long.closed; written++) {
    long.write(Buffer.alloc(MIB, "x"));
    await new Promise(setImmediate);
  }
  await closed(long);
  assert.equal(await refused(come), "refused");
  for (const socket of sockets) socket.destroy();
  assert.ok(peakMemory(pid) < 400 * MIB, `${peakMemory(pid)} bytes`);
});

test("4,000 connections take so many descriptors and no more, and room comes again", async (t) => {
  const { pid, come } = await helper(t);
  const sockets: Socket[] = [];
  for (let at = 0; at < 4000; at++) sockets.push(await come());
  assert.equal(await refused(come), "temporary");
  assert.ok(openDescriptors(pid) < 2200, `${openDescriptors(pid)} descriptors`);
  for (const socket of sockets) socket.destroy();
  while (openDescriptors(pid) > 100) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await refused(come), "refused");
});

test("an answer that nobody takes, on a connection that nobody closes, is not kept", async (t) => {
  const { pid, come } = await helper(t);
  const before = openDescriptors(pid);
  const env = {
    PROTO: "TCP",
    TCPREMOTEIP: "",
    TCPREMOTEPORT: "",
    TCPLOCALIP: "",
    TCPLOCALPORT: "",
  };
  const request = formatRequest({ login: "joe", password: "wrong", timestamp: "", env }) as Buffer;
  const sockets = await Promise.all(Array.from({ length: 20 }, come));
  for (const socket of sockets) socket.write(request);
  await Promise.all(sockets.map(closed));
  while (openDescriptors(pid) > before) await new Promise((resolve) => setTimeout(resolve, 20));
});
