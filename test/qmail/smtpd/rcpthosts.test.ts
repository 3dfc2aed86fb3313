import assert from "node:assert/strict";
import { test } from "node:test";
import { cdbHash } from "../../../qmail/cdb/cdb.ts";
import { RcptHosts } from "../../../qmail/smtpd/rcpthosts.ts";

const NO_CDB = { read: () => null };

const testAllowed = (recipient: string, allowed: boolean) => {
  test(`RcptHosts.allows() says ${allowed} to ${recipient}`, () => {
    const hosts = new RcptHosts(["heaven.test", ".heaven.test", "CAPS.test"], NO_CDB);
    assert.equal(hosts.allows(recipient), allowed);
  });
};
testAllowed("a@heaven.test", true);
testAllowed("a@HEAVEN.Test", true);
testAllowed("a@caps.test", true);
testAllowed("a@x.heaven.test", true);
testAllowed("a@x.y.heaven.test", true);
testAllowed("a@.heaven.test", true);
testAllowed("a@x.caps.test", false);
testAllowed("a@xheaven.test", false);
testAllowed("a@heaven.test.", false);
testAllowed("a@test", false);
testAllowed("a@", false);
testAllowed("a@heaven.test@else.test", false);
testAllowed("nobody", true);

test("RcptHosts.allows() refuses all when there is no file", () => {
  const hosts = new RcptHosts(null, NO_CDB);
  assert.equal(hosts.missing, true);
  assert.equal(hosts.allows("a@heaven.test"), false);
  assert.equal(hosts.allows("nobody"), false);
});

test("RcptHosts.allows() looks into morercpthosts.cdb too", () => {
  const hosts = new RcptHosts([], { read: () => oneKey(".more.test") });
  assert.equal(hosts.missing, false);
  assert.equal(hosts.allows("a@X.More.test"), true);
  assert.equal(hosts.allows("a@more.test"), false);
});

test("RcptHosts.allows() throws when morercpthosts.cdb is broken, unless rcpthosts is enough", () => {
  const hosts = new RcptHosts(["a.test"], { read: () => Buffer.from("broken") });
  assert.equal(hosts.allows("a@a.test"), true);
  assert.throws(() => hosts.allows("a@b.test"), /cannot read cdb/);
});

/** A cdb that holds `key` and nothing else. */
function oneKey(key: string): Buffer {
  const bytes = Buffer.from(key, "latin1");
  const table = 2048 + 8 + bytes.length;
  const cdb = Buffer.alloc(table + 8);
  for (let entry = 0; entry < 2048; entry += 8) cdb.writeUInt32LE(table, entry);
  const hash = cdbHash(bytes);
  cdb.writeUInt32LE(1, (hash & 255) * 8 + 4);
  cdb.writeUInt32LE(bytes.length, 2048);
  bytes.copy(cdb, 2056);
  cdb.writeUInt32LE(hash, table);
  cdb.writeUInt32LE(2048, table + 4);
  return cdb;
}
