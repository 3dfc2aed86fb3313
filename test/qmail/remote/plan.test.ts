import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Control } from "../../../qmail/control/control.ts";
import { PlanError, Plans } from "../../../qmail/remote/plan.ts";
import { near } from "./_server.ts";

const ROUTES = {
  smtproutes: "inside.test:gate.test:26\n.inside.test:\n[192.0.2.5]:[IPv6:::1]:27\n:hub.test",
  senderroutes: "news.test:news-out.test:587\nboss@near.test:[192.0.2.9]\n.sub.test:sub-out.test",
};

const testRoute = (sender: string, domain: string, expected: string) => {
  test(`from ${sender} to ${domain}: ${expected}`, () => {
    using here = near(ROUTES);
    const { host, port, byMx } = here.config.plans.find(sender, domain);
    assert.equal(byMx ? "by MX" : `${host}:${port}`, expected);
  });
};
testRoute("me@near.test", "inside.test", "gate.test:26");
testRoute("me@near.test", "INSIDE.test", "gate.test:26");
testRoute("me@near.test", "a.b.inside.test", "by MX");
testRoute("me@near.test", "[192.0.2.5]", "::1:27");
testRoute("me@near.test", "far.test", "hub.test:25");
testRoute("list@news.test", "far.test", "news-out.test:587");
testRoute("list@news.test", "inside.test", "gate.test:26");
testRoute("boss@near.test", "far.test", "192.0.2.9:25");
testRoute("x@a.sub.test", "far.test", "sub-out.test:25");
testRoute("", "far.test", "hub.test:25");

test("credentials come from control/remoteauth, which nobody else may read", () => {
  using here = near({
    remoteoptions: ":auth=relay\nother.test:auth=unknown",
    remoteauth: "x:a:b\nrelay:me:pass:word",
  });
  const plans = () => new Plans(here.home, new Control(here.home));
  assert.deepEqual(plans().find("", "far.test").credentials, { user: "me", password: "pass:word" });
  assert.throws(() => plans().find("", "other.test"), /no line for "unknown"/);
  chmodSync(join(here.home, "control/remoteauth"), 0o644);
  assert.throws(() => plans().find("", "far.test"), PlanError);
  assert.throws(() => plans().find("", "far.test"), /can be read by others \(mode 644\)/);
});

test("certificates come from files below the home, or anywhere", () => {
  using here = near({
    remoteoptions: ":cert=control/cert.pem ca=/nowhere/ca.pem\nx.test:ca=control/cert.pem",
  });
  writeFileSync(join(here.home, "control/cert.pem"), "PEM");
  const { plans } = here.config;
  assert.throws(() => plans.find("", "far.test"), /cannot read "\/nowhere\/ca\.pem"/);
  assert.deepEqual(plans.find("", "x.test").secureContext, { ca: "PEM", cert: "PEM", key: "PEM" });
});
