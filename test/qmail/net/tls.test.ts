import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect as connectTcp, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { Certificates } from "../../../qmail/net/tls.ts";
import { makeCertificate, withoutOpenssl } from "../_certificate.ts";

const USER = { name: "the user qmaild", group: "nofiles" };

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-tls-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A server that says "hello" in TLS to whoever comes. */
async function serve(t: TestContext, certificates: Certificates): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const secure = certificates.secure(socket);
    secure.on("error", () => {});
    secure.once("secure", () => secure.write("hello"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

async function greeted(port: number, servername?: string): Promise<TLSSocket> {
  const socket = connect({
    port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
  });
  socket.on("error", () => {});
  await once(socket, "data");
  return socket;
}

const nameOf = (socket: TLSSocket) => String(socket.getPeerCertificate().subject.CN);

test("the name asked for chooses the certificate", { skip: withoutOpenssl }, async (t) => {
  const directory = temporary(t);
  const files = ["one.test", "two.test"].map((name) => makeCertificate(directory, name));
  const port = await serve(t, new Certificates({ files, user: USER, warn: assert.fail }));
  for (const [asked, given] of [
    ["two.test", "two.test"],
    ["one.test", "one.test"],
    ["other.test", "one.test"],
    [undefined, "one.test"],
  ] as const) {
    const socket = await greeted(port, asked);
    assert.equal(nameOf(socket), given);
    assert.match(socket.getProtocol() ?? "", /^TLSv1\.3$/);
    socket.destroy();
  }
});

test("files that change are read again, and nobody is cut off", {
  skip: withoutOpenssl,
}, async (t) => {
  const directory = temporary(t);
  const files = makeCertificate(directory, "old.test", "live");
  const fresh = makeCertificate(directory, "new.test");
  let now = 0;
  const warnings: string[] = [];
  const certificates = new Certificates({
    files: [files],
    user: USER,
    warn: (text) => warnings.push(text),
    now: () => now,
  });
  const port = await serve(t, certificates);
  const before = await greeted(port);
  assert.equal(nameOf(before), "old.test");

  // Half of the new pair: the old stays in use, said once.
  copyFileSync(fresh.certificate, files.certificate);
  for (let at = 0; at < 2; at++) {
    now += 1000;
    const meanwhile = await greeted(port);
    assert.equal(nameOf(meanwhile), "old.test");
    meanwhile.destroy();
  }
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? "",
    /cannot use the certificate .* the certificate read before stays/,
  );

  copyFileSync(fresh.key, files.key);
  utimesSync(files.key, 1, 1);
  now += 1000;
  const after = await greeted(port);
  assert.equal(nameOf(after), "new.test");
  assert.equal(before.destroyed, false);
  before.destroy();
  after.destroy();
});

test("old protocols are refused", { skip: withoutOpenssl }, async (t) => {
  const files = [makeCertificate(temporary(t), "one.test")];
  const port = await serve(t, new Certificates({ files, user: USER, warn: assert.fail }));
  const socket = connect({
    port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    minVersion: "TLSv1",
    maxVersion: "TLSv1.1",
    ciphers: "DEFAULT@SECLEVEL=0",
  });
  await assert.rejects(once(socket, "secureConnect"));
});

test("plain text where TLS is expected closes the connection", {
  skip: withoutOpenssl,
}, async (t) => {
  const files = [makeCertificate(temporary(t), "one.test")];
  const port = await serve(t, new Certificates({ files, user: USER, warn: assert.fail }));
  const socket = connectTcp(port, "127.0.0.1");
  socket.resume();
  socket.write("EHLO x\r\n");
  await once(socket, "close");
});

test("files that are missing or do not fit are named", { skip: withoutOpenssl }, (t) => {
  const directory = temporary(t);
  const one = makeCertificate(directory, "one.test");
  const two = makeCertificate(directory, "two.test");
  const make = (certificate: string, key: string) => () =>
    new Certificates({ files: [{ certificate, key }], user: USER, warn: assert.fail });
  assert.throws(
    make(join(directory, "none"), one.key),
    /cannot read the certificate ".*none" as the user qmaild: ENOENT/,
  );
  assert.throws(
    make(one.certificate, two.key),
    /cannot use the certificate ".*one\.test\.crt" with the key ".*two\.test\.key": key values mismatch/,
  );
  writeFileSync(join(directory, "text"), "no certificate");
  assert.throws(make(join(directory, "text"), one.key), /cannot use the certificate/);
});

test("a key that the daemon may not read is named with its owner and mode", {
  skip: withoutOpenssl || (process.getuid?.() !== 0 && "needs root"),
}, (t) => {
  const directory = temporary(t);
  chmodSync(directory, 0o755);
  const files = makeCertificate(directory, "one.test");
  chmodSync(files.certificate, 0o644);
  const module = fileURLToPath(new URL("../../../qmail/net/tls.ts", import.meta.url));
  const attempt = () => {
    const script = `
      import { Certificates } from ${JSON.stringify(module)};
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      try {
        new Certificates({ files: [${JSON.stringify(files)}], user: ${JSON.stringify(USER)}, warn() {} });
        console.log("read");
      } catch (error) { console.log(error.message); }`;
    return execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script], {
      encoding: "utf8",
    });
  };
  chmodSync(files.key, 0o600);
  assert.match(
    attempt(),
    /^cannot read the key ".*one\.test\.key" as the user qmaild: ".*one\.test\.key" belongs to uid 0 and gid 0 with mode 0600; open it: chgrp nofiles ".*" && chmod g\+r/,
  );
  chmodSync(files.key, 0o644);
  assert.equal(attempt(), "read\n");
  mkdirSync(join(directory, "closed"), { mode: 0o700 });
  const hidden = join(directory, "closed", "key");
  copyFileSync(files.key, hidden);
  Object.assign(files, { key: hidden });
  assert.match(
    attempt(),
    /as the user qmaild: ".*\/closed" belongs to uid 0 .* mode 0700; open it: .* chmod g\+x/,
  );
});
