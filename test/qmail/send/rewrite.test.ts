import assert from "node:assert/strict";
import { test } from "node:test";
import { ConstMap, ConstSet } from "../../../qmail/control/constmap.ts";
import { rewrite, senderFor, stripPrepend } from "../../../qmail/send/rewrite.ts";

const tables = {
  envnoathost: "me.test",
  percenthack: new ConstSet(["hack.test"]),
  locals: new ConstSet(["me.test", "Local.Test"]),
  virtualdomains: new ConstMap([
    "virtual.test:virt",
    ".wild.test:wild",
    "not.wild.test:",
    "one@other.test:single",
  ]),
};

/** Recipient → channel and address. */
const CASES: readonly (readonly [string, "local" | "remote", string])[] = [
  ["joe", "local", "joe@me.test"],
  ["joe@me.test", "local", "joe@me.test"],
  ["Joe@ME.test", "local", "Joe@ME.test"],
  ["joe@local.test", "local", "joe@local.test"],
  ["joe@sub.me.test", "remote", "joe@sub.me.test"],
  ["joe@virtual.test", "local", "virt-joe@virtual.test"],
  ["joe@a.virtual.test", "remote", "joe@a.virtual.test"],
  ["joe@a.wild.test", "local", "wild-joe@a.wild.test"],
  ["joe@a.b.WILD.test", "local", "wild-joe@a.b.WILD.test"],
  ["joe@wild.test", "remote", "joe@wild.test"],
  ["joe@not.wild.test", "remote", "joe@not.wild.test"],
  ["one@other.test", "local", "single-one@other.test"],
  ["two@other.test", "remote", "two@other.test"],
  ["joe%else.test@hack.test", "remote", "joe@else.test"],
  ["joe%me.test@hack.test", "local", "joe@me.test"],
  ["a%b.test%hack.test@hack.test", "remote", "a@b.test"],
  ["joe@hack.test", "remote", "joe@hack.test"],
  ["a@b@me.test", "local", "a@b@me.test"],
];

for (const [recipient, channel, address] of CASES) {
  test(`rewrite() sends "${recipient}" to ${channel} as ${address}`, () => {
    assert.deepEqual(rewrite(tables, recipient), { channel, address });
  });
}

test("an empty key of virtualdomains takes everything that is left", () => {
  const all = { ...tables, virtualdomains: new ConstMap([":all", "not.test:"]) };
  assert.deepEqual(rewrite(all, "x@any.test"), { channel: "local", address: "all-x@any.test" });
  assert.deepEqual(rewrite(all, "x@not.test"), { channel: "remote", address: "x@not.test" });
});

test("stripPrepend() takes away just what virtualdomains put before", () => {
  const { virtualdomains } = tables;
  assert.equal(stripPrepend(virtualdomains, "virt-joe@virtual.test"), "joe@virtual.test");
  assert.equal(stripPrepend(virtualdomains, "wild-x@a.wild.test"), "x@a.wild.test");
  assert.equal(stripPrepend(virtualdomains, "virt-joe@me.test"), "virt-joe@me.test");
  assert.equal(stripPrepend(virtualdomains, "joe@virtual.test"), "joe@virtual.test");
  assert.equal(stripPrepend(virtualdomains, "joe"), "joe");
});

test("senderFor() makes one sender for each recipient of a list", () => {
  assert.equal(senderFor("list-owner-@x.test-@[]", "joe@y.test"), "list-owner-joe=y.test@x.test");
  assert.equal(senderFor("list@x.test", "joe@y.test"), "list@x.test");
  assert.equal(senderFor("#@[]", "joe@y.test"), "#@[]");
  assert.equal(senderFor("-@[]", "joe@y.test"), "-@[]");
});
