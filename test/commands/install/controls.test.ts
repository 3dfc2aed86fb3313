import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Config } from "../../../commands/config.ts";
import { controlFiles, defaultDomain, plusDomain } from "../../../commands/install/controls.ts";

/** A config of which only what makes control files matters. */
function config(fields: Partial<Config>): Config {
  const none = { locals: null, rcpthosts: null, routes: {}, srsDomain: null, control: {} };
  return { ...none, ...fields } as Config;
}

test("the domain parts are those of config-fast", () => {
  // Host, defaultdomain, plusdomain.
  const cases = [
    ["mail.test", "mail.test", "mail.test"],
    ["example.com", "example.com", "example.com"],
    ["mail.example.com", "example.com", "example.com"],
    ["a.b.c.d", "b.c.d", "c.d"],
    ["mail.example.co.uk", "example.co.uk", "co.uk"],
    ["mx-1.eu_west.example.org", "eu_west.example.org", "example.org"],
    ["MAIL.Example.COM", "Example.COM", "Example.COM"],
    ["host", "host", "host"],
  ] as const;
  for (const [host, domain, plus] of cases) {
    assert.equal(defaultDomain(host), domain);
    assert.equal(plusDomain(host), plus);
  }
});

test("whatever the host: one part less, and the last two", () => {
  const part = fc.string({ unit: fc.constantFrom(..."ab1-"), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(part, { minLength: 3, maxLength: 6 }), (parts) => {
      const host = parts.join(".");
      assert.equal(defaultDomain(host), parts.slice(1).join("."));
      assert.equal(plusDomain(host), parts.slice(-2).join("."));
    }),
  );
});

test("controlFiles(): five files from the host, and what the config says over them", () => {
  const host = "mail.example.com";
  assert.deepEqual(controlFiles(config({}), host), {
    me: [host],
    defaultdomain: ["example.com"],
    plusdomain: ["example.com"],
    locals: [host],
    rcpthosts: [host],
  });
  const files = controlFiles(
    config({
      locals: ["example.com"],
      routes: { "": "relay.test:587", ".example.net": "" },
      control: { plusdomain: ["plus.test"], databytes: ["1000"] },
    }),
    host,
  );
  assert.deepEqual(files.rcpthosts, ["example.com"]);
  assert.deepEqual(files.smtproutes, [":relay.test:587", ".example.net:"]);
  assert.deepEqual(files.plusdomain, ["plus.test"]);
  assert.deepEqual(files.databytes, ["1000"]);
  assert.deepEqual(controlFiles(config({ rcpthosts: [".example.com"] }), host).rcpthosts, [
    ".example.com",
  ]);
});
