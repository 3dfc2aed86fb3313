/** To whom a message goes, and what is said when nobody can be found. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { mx, type Zone } from "./_dns.ts";
import { farServer, near } from "./_server.ts";

/** The report about a message to far.test; `warnings` is what was said on standard error. */
async function send(control: Readonly<Record<string, string>>, zone: Zone = {}) {
  using here = near(control, { zone });
  const warnings: string[] = [];
  const { write } = process.stderr;
  process.stderr.write = (text) => warnings.push(String(text)) > 0;
  try {
    const { report } = await remote(here.config, {
      host: "far.test",
      sender: "me@near.test",
      recipients: ["you@far.test"],
      message: bufferMessage(Buffer.from("x\n")),
    });
    return { report, warnings: warnings.join("") };
  } finally {
    process.stderr.write = write;
  }
}

const US = { "A us.test": ["127.0.0.1"] };
const both = (prim: number, us: number) => ({
  "MX far.test": [mx(prim, "prim.test"), mx(us, "us.test")],
});

for (const [what, zone, status, code] of [
  ["cannot be asked for", { ...both(10, 20), "A prim.test": "trouble" }, "Z", "#4.4.4"],
  ["does not exist", both(10, 20), "Z", "#4.4.4"],
  [
    "is not better, and cannot be asked for",
    { ...both(20, 10), "A prim.test": "trouble" },
    "D",
    "#5.4.6",
  ],
  ["is as good, and does not exist", both(10, 10), "D", "#5.4.6"],
] as const) {
  test(`we are an exchanger beside one that ${what}: ${code}`, async () => {
    const { report } = await send({}, { ...US, ...zone });
    assert.equal(report.status, status);
    assert.ok(report.text.includes(code), report.text);
  });
}

for (const [ip, code] of [
  ["127.0.0.2", "#5.4.6"],
  ["::ffff:127.0.0.1", "#5.4.6"],
  ["0:0:0:0:0:0:0:1", "#5.4.6"],
  ["192.0.2.77", "#5.4.6"],
  ["127.9.9.9", "#4.4.1"],
] as const) {
  test(`an exchanger at ${ip}: ${code}`, async () => {
    const type = ip.includes(":") ? "AAAA" : "A";
    const zone = { "MX far.test": [mx(1, "mx.test")], [`${type} mx.test`]: [ip] };
    const control = { moreipme: "192.0.2.77", notipme: "127.9.9.9", timeoutconnect: "1" };
    const { report } = await send(control, zone);
    assert.ok(report.text.includes(code), report.text);
  });
}

for (const [line, expected] of [
  [":relay.nx.test", /^warning: .*: control\/smtproutes, ":relay\.nx\.test": there is no host/],
  ["far.test:relay.nx.test:587", /smtproutes, "far\.test:relay\.nx\.test:587": there is no host/],
  [": relay.nx.test", /control\/smtproutes, ": relay\.nx\.test": " relay\.nx\.test" is no host\n$/],
] as const) {
  test(`a route to nobody is not the sender's fault: "${line}"`, async () => {
    const { report, warnings } = await send({ smtproutes: line });
    assert.equal(report.status, "Z", report.text);
    assert.match(warnings, expected);
  });
}

test("a route by QMTP to nobody is not the sender's fault, either", async () => {
  const { report, warnings } = await send({ qmtproutes: ":relay.nx.test" });
  assert.equal(report.status, "Z");
  assert.match(warnings, /control\/qmtproutes, ":relay\.nx\.test"/);
});

for (const [bind, why] of [
  ["192.0.2.77", "no connection can come from there \\(EADDRNOTAVAIL\\)"],
  ["::1", "it leads to none of them"],
] as const) {
  test(`an address to connect from that is of no use is named: ${bind}`, async () => {
    await using far = await farServer();
    for (const protocol of ["smtp", "qmtp"]) {
      const { report, warnings } = await send({
        [`${protocol}routes`]: `:127.0.0.1:${far.port}`,
        remoteoptions: `:bind=${bind}`,
      });
      assert.match(report.text, new RegExp(`^Sorry, I am to connect from ${bind}: ${why}\\. `));
      assert.equal(report.status, "Z");
      assert.match(warnings, new RegExp(`control/remoteoptions, bind=${bind}: ${why}\n$`));
    }
  });
}

test("a domain that does not exist is the sender's fault", async () => {
  assert.deepEqual((await send({})).report, {
    status: "D",
    text: "Sorry, I couldn't find any host named far.test. (#5.1.2)\n",
  });
});

test("a route to a name in brackets goes there", async () => {
  await using far = await farServer();
  const zone = { "A hub.test": ["127.0.0.1"] };
  assert.equal((await send({ smtproutes: `:[hub.test]:${far.port}` }, zone)).report.status, "K");
});
