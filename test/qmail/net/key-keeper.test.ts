/** The shell that reads keys as root, and certificates that come through it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { KeyKeeper } from "../../../qmail/net/key-keeper.ts";
import { Certificates } from "../../../qmail/net/tls.ts";
import { makeCertificate, withoutOpenssl } from "../_certificate.ts";

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-keys-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("files are read as they are now, each with what is wrong with it", async (t) => {
  const directory = temporary(t);
  const [a, b] = [join(directory, "a b'\"$x"), join(directory, "-n")];
  writeFileSync(a, "one\n\n");
  const keeper = new KeyKeeper([a, b], () => {});
  t.after(() => keeper.end());
  const [first, second] = await Promise.all([keeper.read(), keeper.read()]);
  assert.equal(first, second, "asked twice at once, read once");
  assert.deepEqual(first[0], { text: "one\n\n" });
  assert.match((first[1] as { trouble: string }).trouble, /No such file/);
  writeFileSync(a, "");
  writeFileSync(b, "x".repeat(500_000));
  assert.deepEqual(await keeper.read(), [{ text: "" }, { text: "x".repeat(500_000) }]);
});

test("a file without end, or with NULs, is the end of it, and that is told", async (t) => {
  const directory = temporary(t);
  const nuls = join(directory, "nuls");
  writeFileSync(nuls, "\0\0\0");
  for (const file of ["/dev/zero", nuls, "/dev/urandom"]) {
    const lost = Promise.withResolvers<void>();
    const keeper = new KeyKeeper([file], () => lost.resolve());
    void keeper.read();
    await lost.promise;
  }
});

test("a certificate that is renewed is in use without a look of our own", {
  skip: withoutOpenssl,
}, async (t) => {
  const directory = temporary(t);
  const files = makeCertificate(directory, "old.test", "live");
  const fresh = makeCertificate(directory, "new.test");
  let [now, asked] = [0, 0];
  const keeper = new KeyKeeper([files.certificate, files.key], () => {});
  t.after(() => keeper.end());
  const warnings: string[] = [];
  const certificates = new Certificates({
    files: [files],
    user: { name: "root", group: "root" },
    keeper: {
      read() {
        asked++;
        return keeper.read();
      },
    },
    warn: (text) => warnings.push(text),
    now: () => now,
  });
  const server = createServer((socket) => void certificates.secure(socket).on("error", () => {}));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const name = async () => {
    const socket = connectTls({ socket: connect(port, "127.0.0.1"), rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  const changed = async () => {
    now += 10_000;
    await name();
    await keeper.read();
  };
  assert.equal(await name(), "old.test");
  await changed();
  assert.deepEqual([asked, warnings], [1, []]);

  copyFileSync(fresh.certificate, files.certificate);
  await changed();
  await changed();
  assert.equal(await name(), "old.test");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /the certificate read before stays in use/);

  copyFileSync(fresh.key, files.key);
  await changed();
  assert.equal(await name(), "new.test");
  rmSync(files.key);
  await changed();
  assert.match(warnings[1] ?? "", /cannot read the key as root: .*No such file/);
  assert.equal(await name(), "new.test");
});
