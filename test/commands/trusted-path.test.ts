/** Where the daemons of a mail server that somebody starts by hand look for programs. */

import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { trustedPath } from "../../commands/trusted.ts";

test("only directories that nobody else can put a program into", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-path-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const at = (name: string) => join(directory, name);
  for (const name of ["good", "open", "below", "below/open", "sticky"]) mkdirSync(at(name));
  for (const name of ["open", "below/open"]) chmodSync(at(name), 0o777);
  mkdirSync(at("open/inner"));
  chmodSync(at("sticky"), 0o1777);
  symlinkSync(at("good"), at("link"));
  const keep = [at("good"), "/usr/bin", at("link")];
  const drop = ["", ".", "bin", at("none"), at("open"), at("open/inner"), at("sticky")];
  assert.equal(trustedPath([...drop, ...keep, ...drop].join(":")), keep.join(":"));
  assert.match(trustedPath(""), /^\/usr\/local\/sbin:.*:\/bin$/);
});

test("nor one of another user's", { skip: process.getuid?.() !== 0 && "needs root" }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-path-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "joe/bin"), { recursive: true });
  const path = `/usr/bin:${join(directory, "joe/bin")}`;
  assert.equal(trustedPath(path), path);
  chownSync(join(directory, "joe"), 65_534, 65_534);
  assert.equal(trustedPath(path), "/usr/bin");
});
