/** ofmipd and ofmipname as programs: a mail program's message on its way to the queue. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { programPath } from "../../../qmail/programs.ts";
import { Home } from "../smtpd/_world.ts";

const CONTROL = {
  me: "mail.test\n",
  defaulthost: "desk\n",
  defaultdomain: "mail.test\n",
  plusdomain: "test\n",
  idhost: "id.test\n",
};

/** What qmail-queue would read is written to `message` and `envelope`. */
class Ofmip implements Disposable {
  readonly home = new Home(CONTROL);

  run(program: string, args: readonly string[], input: string) {
    const queue = join(this.home.path, "queue.sh");
    const script = `#!/bin/sh\ncat >"${this.home.path}/message"\ncat <&1 >"${this.home.path}/envelope"\n`;
    writeFileSync(queue, script, { mode: 0o755 });
    return spawnSync(process.execPath, [programPath(`ofmipd/${program}`), ...args], {
      input: Buffer.from(input, "latin1"),
      encoding: "latin1",
      cwd: this.home.path,
      timeout: 60_000,
      env: { QMAILHOME: this.home.path, QMAILQUEUE: queue, TCPREMOTEIP: "192.0.2.1" },
    });
  }

  /** One session that sends `header` and a body; its replies. */
  send(header: string, { from = "joe", to = "jane", names = true, code = 0 } = {}): string {
    const lines = ["EHLO desk", `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, "DATA"];
    const said = `${lines.join("\r\n")}\r\n${header.replaceAll("\n", "\r\n")}\r\n..body\r\n.\r\nQUIT\r\n`;
    const { stdout, status } = this.run("ofmipd", names ? ["names.cdb"] : [], said);
    assert.equal(status, code);
    return stdout;
  }

  names(table: string) {
    return this.run("ofmipname", ["names.cdb", "names.tmp"], table);
  }

  read(name: string): string {
    return readFileSync(join(this.home.path, name), "latin1");
  }

  [Symbol.dispose](): void {
    this.home[Symbol.dispose]();
  }
}

test("ofmipd completes addresses and header, and relays anywhere", () => {
  using ofmip = new Ofmip();
  const replies = ofmip.send("To: jane, bob@far.example\nBcc: secret\nSubject: x\n", {
    to: "bob@far.example",
    names: false,
  });
  assert.match(replies, /^250 ok \d+ qp \d+\r\n221 /m);
  assert.equal(ofmip.read("envelope"), "Fjoe@desk.mail.test\0Tbob@far.example\0\0");
  const [received = "", ...message] = ofmip.read("message").split(/(?<=-0000\n)/);
  assert.match(received, /^Received: from unknown \(HELO desk\) \(192\.0\.2\.1\)\n {2}by /);
  assert.match(
    message.join(""),
    /^Date: .*\nMessage-ID: <\d{14}\.\d+\.qmail@id\.test>\nFrom: joe@desk\.mail\.test\nTo: jane@desk\.mail\.test, bob@far\.example\nSubject: x\n\n\.body\n$/,
  );
});

test("ofmipd shows senders as the table of ofmipname has them", () => {
  using ofmip = new Ofmip();
  const made = ofmip.names('# us\njoe@desk.mail.test:Joe "J" Shmoe:J.Shmoe@mail.test:\n');
  assert.equal(made.status, 0, made.stderr);
  assert.match(ofmip.send("From: root\nTo: jane\nFrom: me\n"), /^250 ok \d+ qp/m);
  assert.equal(ofmip.read("envelope"), "FJ.Shmoe@mail.test\0Tjane@desk.mail.test\0\0");
  const froms = ofmip.read("message").match(/^From: .*$/gm);
  assert.deepEqual(froms, ['From: "Joe \\"J\\" Shmoe" <J.Shmoe@mail.test>']);
  ofmip.send("From: Jane <jane>\n", { from: "jane" });
  assert.match(ofmip.read("envelope"), /^Fjane@desk\.mail\.test\0/);
  assert.match(ofmip.read("message"), /^From: Jane <jane@desk\.mail\.test>$/m);
});

test("ofmipname leaves the table as it was when a line is none", () => {
  using ofmip = new Ofmip();
  assert.equal(ofmip.names("a@b:A:c@d:\n").status, 0);
  const before = ofmip.read("names.cdb");
  const made = ofmip.names("a@b:A:c@d:\na@b:c@d\n");
  assert.equal(made.status, 100);
  assert.equal(made.stderr, 'ofmipname: fatal: line 2 is not key:name:address: "a@b:c@d"\n');
  assert.equal(ofmip.read("names.cdb"), before);
});

test("ofmipd refuses what makes no sense, with what it was", () => {
  using ofmip = new Ofmip();
  const header = ofmip.send("From: a@b <c\n", { names: false });
  assert.match(header, /^554 unable to parse this line: From: a@b <c \(#5\.6\.0\)\r$/m);
  const endless = ofmip.send(`X: ${"a".repeat(2 << 20)}\n`, { names: false });
  assert.match(endless, /^554 header is too long \(#5\.6\.0\)\r$/m);
  const missing = ofmip.send("From: a@b\n", { code: 1 });
  assert.match(missing, /^421 unable to read controls \(#4\.3\.0\)\r$/m);
});
