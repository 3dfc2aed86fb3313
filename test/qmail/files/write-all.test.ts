import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeAll } from "../../../qmail/files/write-all.ts";

test("a full pipe that does not block is waited for", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-write-all-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const fifo = join(directory, "fifo");
  execFileSync("mkfifo", [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  // Many times what a pipe holds: it is full before the reader has started.
  const bytes = Buffer.alloc(1_000_000, "x");
  const reader = spawn("head", ["-c", String(bytes.length), fifo], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const counter = spawn("wc", ["-c"], { stdio: [reader.stdout, "pipe", "inherit"] });
  let counted = "";
  counter.stdout.on("data", (text) => (counted += text));
  writeAll(fd, bytes);
  await once(counter, "close");
  closeSync(fd);
  assert.equal(Number(counted), bytes.length);
});
