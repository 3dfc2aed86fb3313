import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Control } from "../../../qmail/control/control.ts";
import { NOT_IN_KEY, type Plan, PlanError, Plans, planKey } from "../../../qmail/remote/plan.ts";
import {
  DEFAULT_OPTIONS,
  OPTION_NAMES,
  type RemoteOptions,
} from "../../../qmail/remote/remoteoptions.ts";
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

for (const line of [
  ": relay.test",
  ":relay.test|user|pass",
  ":2001:db8::1",
  ":::1",
  ":relay.test:25:x",
  ":[192.0.2.9",
  ":relay.test:99999",
  ":relay.test:0",
  "far.test:relay test",
]) {
  test(`a route that cannot be understood is named, and leads nowhere: "${line}"`, () => {
    for (const file of ["smtproutes", "qmtproutes", "senderroutes"]) {
      if (file === "senderroutes" && line.startsWith(":")) continue;
      using here = near({ [file]: line });
      const find = () => here.config.plans.find("me@far.test", "far.test");
      const start = `control/${file}, "${line}": `;
      assert.throws(find, (error) => error instanceof PlanError && error.message.startsWith(start));
    }
  });
}

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

test("credentials are the same where lines end in CR LF", () => {
  using here = near({ remoteoptions: ":auth=relay", remoteauth: "x:a:b\r\nrelay:me:pass word \r" });
  const { credentials } = here.config.plans.find("", "far.test");
  assert.deepEqual(credentials, { user: "me", password: "pass word " });
});

test("certificates come from files below the home, or anywhere", () => {
  using here = near({
    remoteoptions: ":cert=control/cert.pem ca=/nowhere/ca.pem\nx.test:ca=control/cert.pem",
  });
  writeFileSync(join(here.home, "control/cert.pem"), "PEM");
  const { plans } = here.config;
  assert.throws(() => plans.find("", "far.test"), /cannot look at "\/nowhere\/ca\.pem"/);
  assert.deepEqual(plans.find("", "x.test").secureContext, { ca: "PEM", cert: "PEM", key: "PEM" });
});

test("a certificate that is renewed is used from then on", () => {
  using here = near({ remoteoptions: ":cert=control/a.pem\nca.test:ca=control/a.pem" });
  const path = join(here.home, "control/a.pem");
  const { plans } = here.config;
  const cert = () => plans.find("", "far.test").secureContext.cert;
  const ca = () => plans.find("", "ca.test").secureContext.ca;
  writeFileSync(path, "old");
  assert.deepEqual([cert(), ca()], ["old", "old"]);
  const { key } = plans.find("", "ca.test");
  writeFileSync(path, "renewed");
  assert.deepEqual([cert(), ca()], ["renewed", "renewed"]);
  // Nor is a connection used that was made with the old one.
  assert.notEqual(plans.find("", "ca.test").key, key);
});

/** Two values of each option. */
const OPTIONS: { readonly [name in keyof RemoteOptions]-?: readonly [unknown, unknown] } = {
  tls: ["may", "verify"],
  tlsAsked: [false, true],
  name: [undefined, "mx.test"],
  ca: [undefined, "ca.pem"],
  cert: [undefined, "cert.pem"],
  auth: [undefined, "relay"],
  mechanisms: [undefined, ["PLAIN"]],
  ignore: [undefined, ["SIZE"]],
  authWithoutTls: [false, true],
  bind: [undefined, "127.0.0.2"],
  helo: [undefined, "other.test"],
  concurrency: [20, 1],
  rate: [null, { count: 1, ms: 1000 }],
  recipients: [1, 2],
  reuse: [100, 1],
  eightBit: ["send", "refuse"],
};

/** Two values of each field of a plan but those. */
const FIELDS: {
  readonly [name in Exclude<keyof Plan, "key" | "options">]: readonly [unknown, unknown];
} = {
  domain: ["far.test", "also.test"],
  host: ["mx.test", "relay.test"],
  byMx: [true, false],
  route: [null, 'control/smtproutes, ":relay.test"'],
  protocol: ["smtp", "qmtp"],
  port: [25, 587],
  credentials: [
    { user: "a", password: "b" },
    { user: "a", password: "c" },
  ],
  secureContext: [
    { cert: "a", key: "b" },
    { cert: "c", key: "b" },
  ],
};

test("plans that differ in anything of the connection have different keys", () => {
  const first = (of: Readonly<Record<string, readonly [unknown, unknown]>>) =>
    Object.fromEntries(Object.entries(of).map(([name, [value]]) => [name, value]));
  const plan = (fields: object, options: object) =>
    planKey({ ...first(FIELDS), ...fields, options: { ...first(OPTIONS), ...options } } as never);
  const base = plan({}, {});
  assert.equal(plan({}, {}), base);
  for (const [name, [, other]] of Object.entries(FIELDS)) {
    assert.equal(plan({ [name]: other }, {}) === base, name in NOT_IN_KEY.plan, name);
  }
  for (const [name, [, other]] of Object.entries(OPTIONS)) {
    assert.equal(plan({}, { [name]: other }) === base, name in NOT_IN_KEY.options, name);
  }
  // What comes later is in it, unless somebody says why not.
  assert.notEqual(plan({}, { later: 1 }), base);
});

test("every option that control/remoteoptions knows is in the table above", () => {
  assert.deepEqual(
    Object.keys(DEFAULT_OPTIONS).filter((name) => !(name in OPTIONS)),
    [],
  );
  const words: Readonly<Record<string, string>> = {
    "8bit": "eightBit",
    authwithouttls: "authWithoutTls",
  };
  for (const name of OPTION_NAMES) assert.ok((words[name] ?? name) in OPTIONS, name);
});
