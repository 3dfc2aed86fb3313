/** Rules: compiled and followed as Debian's tcprules and tcpserver do. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { programPath } from "../../../qmail/programs.ts";
import { compileRules, RuleError } from "../../../qmail/tcpserver/compile.ts";
import { canonicalAddress, networkKey, networkKeys } from "../../../qmail/tcpserver/keys.ts";
import { type Client, followRules, Rules } from "../../../qmail/tcpserver/rules.ts";
import { tcprules } from "../../../qmail/tcpserver/tcprules.ts";

const TCPRULES = "/usr/bin/tcprules";
const TCPRULESCHECK = "/usr/bin/tcprulescheck";
const OURS = programPath("tcpserver/tcprulescheck");
const debian = {
  skip: existsSync(TCPRULES) ? false : "needs Debian's ucspi-tcp",
};

const directory = mkdtempSync(join(tmpdir(), "qmailctl-rules-"));
after(() => rmSync(directory, { recursive: true }));
const path = (name: string) => join(directory, name);

function verdict(text: string, client: Partial<Client>) {
  const records = [...compileRules(text)];
  return followRules({ ip: "1.2.3.4", host: null, info: null, ...client }, (address) => {
    return records.find(([key]) => key.toString("latin1") === address)?.[1] ?? null;
  });
}

test("the first rule in the manual's order counts", () => {
  const all = [
    ["joe@1.2.3.4", { info: "joe", host: "a.b.example" }],
    ["joe@=a.b.example", { info: "joe", host: "a.b.example" }],
    ["1.2.3.4", { host: "a.b.example" }],
    ["=a.b.example", { host: "a.b.example" }],
    ["1.2.3.", { host: "a.b.example" }],
    ["1.2.", { host: "a.b.example" }],
    ["1.", { host: "a.b.example" }],
    ["1.2.0.0/16", { host: "a.b.example" }],
    ["=.b.example", { host: "a.b.example" }],
    ["=.example", { host: "a.b.example" }],
    ["=", { host: "a.b.example" }],
    ["", {}],
  ] as const;
  for (const [at, [first, client]] of all.entries()) {
    const text = all.slice(at).map(([address]) => `${address}:allow,RULE="${address}"\n`);
    assert.deepEqual(verdict(text.reverse().join(""), client).env, [["RULE", first]], first);
  }
});

test("without a rule everybody may come", () => {
  assert.deepEqual(verdict("2.:deny\n", {}), { rule: null, deny: false, env: [] });
});

test("a host or info that is not known matches no rule for one", () => {
  assert.equal(verdict("=:deny\njoe@1.2.3.4:deny\n", {}).deny, false);
});

test("any character quotes, and a rule may deny and set", () => {
  assert.deepEqual(verdict(`:deny,A="x y",B=/"/,C=,=,\n`, {}), {
    rule: "",
    deny: true,
    env: [
      ["A", "x y"],
      ["B", '"'],
      ["C", "="],
    ],
  });
});

test("a range stands for each of its numbers", () => {
  const text = "1.2.3.9-11:deny\n10.2-3.:deny\n";
  const denied = (ip: string) => verdict(text, { ip }).deny;
  assert.deepEqual(
    [
      "1.2.3.8",
      "1.2.3.9",
      "1.2.3.10",
      "1.2.3.11",
      "1.2.3.12",
      "10.1.9.9",
      "10.2.9.9",
      "10.3.9.9",
    ].map(denied),
    [false, true, true, true, false, false, true, true],
  );
});

test("IPv6: addresses in any spelling, prefixes, networks", () => {
  const text =
    "2001:DB8:0::1:deny\nfe80::allow,P=/1/\n2001:db8:aaaa::/47:deny,N=/2/\nbill@::1:deny\n";
  assert.equal(verdict(text, { ip: "2001:db8::1" }).deny, true);
  assert.equal(verdict(text, { ip: "2001:db8::2" }).deny, false);
  assert.deepEqual(verdict(text, { ip: "2001:db8:aaab::2" }).env, [["N", "2"]]);
  assert.deepEqual(verdict(text, { ip: "2001:db8:aaac::2" }).env, []);
  assert.deepEqual(verdict(text, { ip: "fe80::1" }).env, [["P", "1"]]);
  assert.equal(verdict(text, { ip: "::1", info: "bill" }).deny, true);
});

test("networkKeys() has the key of a network exactly for the addresses in it", () => {
  const ip = fc.oneof(fc.ipV4(), fc.ipV6().map(canonicalAddress));
  fc.assert(
    fc.property(ip, ip, fc.integer({ min: 1, max: 128 }), (network, address, bits) => {
      const key = networkKey(network, bits);
      const inside = key !== null && [...networkKeys(address)].includes(key);
      assert.equal(inside, key !== null && sameNetwork(network, address, bits));
      assert.equal(key === null, bits > (network.includes(":") ? 128 : 32));
    }),
  );
  assert.equal(networkKey("10.0.0.0", 8), "_0000e0g0");
  assert.equal(networkKey("::1", 0), null);
});

function sameNetwork(one: string, other: string, bits: number): boolean {
  if (one.includes(":") !== other.includes(":")) return false;
  const long = (ip: string) => binary(ip).slice(0, bits);
  return long(one) === long(other);
}

function binary(ip: string): string {
  if (!ip.includes(":"))
    return ip
      .split(".")
      .map((n) => Number(n).toString(2).padStart(8, "0"))
      .join("");
  const [head = "", tail = ""] = ip.split("::");
  const parts = [head, tail].map((side) => side.split(":").filter(Boolean));
  const zeros = Array(8 - parts.flat().length).fill("0");
  return [...(parts[0] ?? []), ...zeros, ...(parts[1] ?? [])]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}

test("a line that is no rule is named, and the old rules stay", () => {
  const [cdb, temporary] = [path("kept.cdb"), path("kept.tmp")];
  tcprules(":deny\n", { cdb, temporary });
  const before = readFileSync(cdb);
  assert.throws(
    () => tcprules(":deny\n# fine\n1.2.3.4:alow\n", { cdb, temporary }),
    (error) => error instanceof RuleError && error.line === "1.2.3.4:alow" && error.number === 3,
  );
  assert.deepEqual(readFileSync(cdb), before);
  for (const bad of [
    "1.2.3.4/33:deny",
    "1.2.3.4/0:deny",
    ":allow,A",
    ':allow,A="x',
    "::1:zz:deny",
  ]) {
    assert.throws(() => [...compileRules(bad)], RuleError, bad);
  }
});

test("changed rules count at once, and a missing file is told apart", () => {
  const [cdb, temporary] = [path("live.cdb"), path("live.tmp")];
  const rules = new Rules(cdb);
  const client = { ip: "1.2.3.4", host: null, info: null };
  assert.equal(rules.verdict(client), null);
  tcprules("1.2.3.4:deny\n", { cdb, temporary });
  assert.equal(rules.verdict(client)?.deny, true);
  tcprules('1.2.3.:allow,RELAYCLIENT=""\n', { cdb, temporary });
  assert.deepEqual(rules.verdict(client)?.env, [["RELAYCLIENT", ""]]);
  writeFileSync(cdb, "short");
  assert.throws(() => rules.verdict(client));
});

const number = fc.integer({ min: 0, max: 300 }).map(String);
const address = fc.oneof(
  fc.tuple(number, number, number, number).map((all) => all.join(".")),
  fc.tuple(number, number).map((all) => `${all.join(".")}.`),
  fc.tuple(number, number, number).map(([a, b, c]) => `${a}.${b}-${c}.`),
  fc.constantFrom(
    "",
    "=",
    "=.example.com",
    "=Host.example",
    "joe@1.2.3.4",
    "Joe@=a-b.example",
    "-",
    "1-",
    "1-2-3",
    "a.b",
  ),
);
const variable = fc
  .tuple(
    fc.constantFrom("A", "RELAYCLIENT", ""),
    fc.constantFrom('"', "/", "=", ",", "x"),
    fc.string({ maxLength: 5 }),
  )
  .map(([name, quote, value]) => `,${name}=${quote}${value.replaceAll(/[\n\0]/g, "")}${quote}`);
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        address,
        fc.constantFrom("allow", "deny"),
        fc.array(variable, { maxLength: 3 }),
        fc.constantFrom("", " ", "\t"),
      )
      .map(([where, verb, all, end]) => `${where}:${verb}${all.join("")}${end}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "# comment",
      "",
      "no rule",
      "1.2.3.4:no",
      ":allow,",
      ':deny,A="x"y',
      "1.2.3.4:allow:deny",
      "  1.2.3.4:deny",
    ),
  },
);

test("the same cdb, byte for byte, as Debian's tcprules; or the same refusal", debian, () => {
  const [ours, theirs, temporary] = [path("ours.cdb"), path("theirs.cdb"), path("both.tmp")];
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, whole) => {
      const text = Buffer.from(lines.join("\n") + (whole ? "\n" : ""), "utf8");
      const { status, stderr } = spawnSync(TCPRULES, [theirs, temporary], { input: text });
      try {
        tcprules(text.toString("latin1"), { cdb: ours, temporary });
        assert.equal(status, 0, `refused by Debian's: ${stderr}`);
        assert.deepEqual(readFileSync(ours), readFileSync(theirs));
      } catch (error) {
        if (!(error instanceof RuleError)) throw error;
        assert.equal(status, 100);
        const expected = Buffer.from(`tcprules: fatal: ${error.message}\n`, "latin1");
        assert.deepEqual(stderr, expected);
      }
    }),
    { numRuns: 150 },
  );
});

test("Debian's tcprulescheck reads our cdb, and finds the same rule", debian, () => {
  const [cdb, temporary] = [path("check.cdb"), path("check.tmp")];
  const text = [
    '10.1.2.3:deny,D="4"',
    '10.1.:allow,A="1"',
    "=.example.com:allow,B=/2/",
    "=:deny",
    "joe@10.1.2.3:allow",
    ':allow,C="3"',
  ];
  tcprules(text.join("\n"), { cdb, temporary });
  const rules = new Rules(cdb);
  const clients = ["10.1.2.3", "10.1.9.9", "9.9.9.9"].flatMap((ip) =>
    [null, "mx.example.com", "other.example"].flatMap((host) =>
      [null, "joe"].map((info) => ({ ip, host, info })),
    ),
  );
  for (const client of clients) {
    const { ip, host, info } = client;
    const env = {
      TCPREMOTEIP: ip,
      ...(host ? { TCPREMOTEHOST: host } : {}),
      ...(info ? { TCPREMOTEINFO: info } : {}),
    };
    const theirs = spawnSync(TCPRULESCHECK, [cdb], { env, encoding: "utf8" }).stdout;
    const ours = spawnSync(process.execPath, [OURS, cdb], { env, encoding: "utf8" }).stdout;
    assert.equal(ours, theirs);
    assert.match(theirs, new RegExp(`^rule ${rules.verdict(client)?.rule}:\n`));
  }
});

test("tcprulescheck tells no variables of a client who is denied", () => {
  const [cdb, temporary] = [path("deny.cdb"), path("deny.tmp")];
  tcprules('10.1.2.3:deny,A="1"\n', { cdb, temporary });
  const { stdout } = spawnSync(process.execPath, [OURS, cdb, "10.1.2.3"], { encoding: "utf8" });
  assert.equal(stdout, "rule 10.1.2.3:\ndeny connection\n");
});
