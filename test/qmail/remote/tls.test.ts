/** TLS to the far side: offered, required, verified, by DANE; and broken in each way. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { Tlsa } from "../../../qmail/dns/message.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { type Authority, type Issued, makeAuthority, withoutOpenssl } from "./_authority.ts";
import { fakeDns, mx, type Zone } from "./_dns.ts";
import { type FarServer, farServer, near, secureServer } from "./_server.ts";

const skip = withoutOpenssl;
const authority = skip ? null : makeAuthority();
after(() => authority?.[Symbol.dispose]());

const FAR = "mx.far.test";
const TAKEN = "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n";

interface Told {
  readonly report: string;
  readonly commands: readonly string[];
}

async function deliver(far: FarServer, options: string, zone?: Zone): Promise<Told> {
  using here = near(
    zone
      ? { smtproutes: "", remoteoptions: options }
      : { smtproutes: `:localhost:${far.port}`, remoteoptions: options },
    zone ? { dns: fakeDns(zone, true) } : {},
  );
  // Mail by MX goes to port 25: the test's server listens elsewhere.
  const { plans } = here.config;
  const config = zone
    ? {
        ...here.config,
        isOwn: () => false,
        plans: {
          find: (...of: [string, string]) => ({ ...plans.find(...of), port: far.port }),
        } as typeof plans,
      }
    : here.config;
  const outcome = await remote(config, {
    host: "far.test",
    sender: "me@near.test",
    recipients: ["you@far.test"],
    message: bufferMessage(Buffer.from("Subject: x\n\ny\n")),
  });
  const { status, text } = deliveryReport(outcome);
  return { report: status + text, commands: far.commands };
}

function issue(name: string): Issued {
  return (authority as Authority).issue(name);
}

test("TLS is taken where it is offered, whoever it is", { skip }, async () => {
  await using far = await secureServer(issue("somebody.test"));
  const { report, commands } = await deliver(far, ":");
  assert.match(report, /^K.*\nRemote.*\nTLS: TLSv1\.3 TLS_\w+, not verified \(default\)\n$/);
  assert.deepEqual(commands.slice(0, 4), [
    "EHLO near.test",
    "STARTTLS",
    "EHLO near.test",
    "MAIL FROM:<me@near.test>",
  ]);
});

test("TLS is left alone where the route says so", { skip }, async () => {
  await using far = await secureServer(issue("somebody.test"));
  const { report, commands } = await deliver(far, ":tls=none");
  assert.equal(report, TAKEN);
  assert.ok(!commands.includes("STARTTLS"));
});

test("a certificate is verified: authority and name", { skip }, async () => {
  await using far = await secureServer(issue("mx.far.test"));
  const good = await deliver(far, `:tls=verify name=mx.far.test ca=${authority?.file}`);
  assert.match(good.report, /^K[\s\S]*TLS: .*, verified \(route\)\n$/);
  const other = await deliver(far, `:tls=verify name=other.test ca=${authority?.file}`);
  assert.equal(
    other.report,
    "ZConnected to 127.0.0.1 but TLS failed: the certificate is not for other.test. (#4.7.5)\n",
  );
  const unknown = await deliver(far, ":tls=verify name=mx.far.test");
  assert.match(
    unknown.report,
    /^ZConnected to 127\.0\.0\.1 but TLS failed: the certificate is not trusted: /,
  );
  assert.ok(!far.messages.some((text) => text.includes("never")));
  assert.equal(far.messages.length, 1);
});

/** What a server may do in place of a handshake. */
const BROKEN: Readonly<Record<string, (socket: Socket) => void>> = {
  "hangs up": (socket) => socket.destroy(),
  "goes on in the clear": (socket) => void socket.write("220 go\r\n250 what now\r\n"),
  "sends garbage": (socket) => {
    socket.write("220 go\r\n");
    socket.once("data", () => socket.write("this is no TLS at all\r\n"));
  },
  "injects an answer": (socket) => void socket.write("220 go\r\n250 injected\r\n"),
};

for (const [what, STARTTLS] of Object.entries(BROKEN)) {
  test(`a server that ${what} where TLS should begin`, async () => {
    const behaviour = { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS };
    await using far = await farServer(behaviour);
    const may = await deliver(far, ":");
    // Opportunistic: when the handshake fails, a second connection does without.
    const died = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n";
    assert.equal(may.report, what === "hangs up" ? died : TAKEN);
    const required = await deliver(far, ":tls=require");
    assert.match(required.report, /^ZConnected to 127\.0\.0\.1 but /);
    assert.equal(far.messages.length, what === "hangs up" ? 0 : 1);
  });
}

function tlsa(usage: number, selector: number, { x509 }: { x509: Issued["x509"] }): Tlsa {
  const spki = x509.publicKey.export({ type: "spki", format: "der" });
  const certificate = createHash("sha256")
    .update(selector === 0 ? x509.raw : spki)
    .digest();
  return { usage, selector, matchingType: 1, certificate };
}

function daneZone(far: FarServer, records: readonly Tlsa[] | "trouble"): Zone {
  return {
    "MX far.test": [mx(10, FAR)],
    [`A ${FAR}`]: ["127.0.0.1"],
    [`TLSA _${far.port}._tcp.${FAR}`]: records,
  };
}

test("DANE: the key that the record says, for whatever name", { skip }, async () => {
  const issued = issue("anything.test");
  await using far = await secureServer(issued);
  for (const selector of [0, 1]) {
    const { report } = await deliver(far, ":", daneZone(far, [tlsa(3, selector, issued)]));
    assert.match(report, /^K[\s\S]*TLS: .*, verified \(DANE\)\n$/);
  }
  const wrong = await deliver(far, ":", daneZone(far, [tlsa(3, 1, issue("anything.test"))]));
  assert.equal(
    wrong.report,
    "ZConnected to 127.0.0.1 but TLS failed: no TLSA record matches the certificate. (#4.7.5)\n",
  );
});

test("DANE: an authority that the record says, for the right name", { skip }, async () => {
  const anchor = tlsa(2, 0, authority as Authority);
  await using right = await secureServer(issue(FAR));
  assert.match(
    (await deliver(right, ":", daneZone(right, [anchor]))).report,
    /^K[\s\S]*\(DANE\)\n$/,
  );
  await using other = await secureServer(issue("other.test"));
  const { report } = await deliver(other, ":", daneZone(other, [anchor]));
  assert.match(report, /^Z.*the certificate is not for mx\.far\.test\. \(#4\.7\.5\)\n$/);
});

test("DANE: no TLS, no mail; records out of reach, no mail; records of no use, any TLS", {
  skip,
}, async () => {
  const issued = issue(FAR);
  await using plain = await farServer();
  const none = await deliver(plain, ":", daneZone(plain, [tlsa(3, 1, issued)]));
  assert.match(none.report, /^Z.*TLS failed: the server does not offer it/);
  assert.equal(plain.messages.length, 0);
  await using far = await secureServer(issued);
  const lost = await deliver(far, ":", daneZone(far, "trouble"));
  assert.match(lost.report, /^Z.*its TLSA records cannot be looked up: SERVFAIL/);
  const useless = await deliver(far, ":", daneZone(far, [{ ...tlsa(3, 1, issued), usage: 1 }]));
  assert.match(useless.report, /^K[\s\S]*, not verified \(DANE\)\n$/);
});

test("AUTH goes on behind TLS, and a refusal is no bounce", { skip }, async () => {
  await using far = await secureServer(issue(FAR), {
    EHLO: "250-far.test\r\n250 AUTH PLAIN",
    AUTH: (_, line) => (line.endsWith("AG1lAHNlY3JldA==") ? "235 welcome" : "535 no"),
  });
  using here = near({
    smtproutes: `:localhost:${far.port}`,
    remoteoptions: ":auth=relay tls=require\nbad.test:auth=wrong tls=require",
    remoteauth: "relay:me:secret\nwrong:me:guess",
  });
  const send = async (host: string) => {
    const outcome = await remote(here.config, {
      host,
      sender: "",
      recipients: [`you@${host}`],
      message: bufferMessage(Buffer.from("x\n")),
    });
    const { status, text } = deliveryReport(outcome);
    return status + text;
  };
  assert.match(await send("far.test"), /^K/);
  assert.equal(
    await send("bad.test"),
    "ZConnected to 127.0.0.1 but authentication failed: it was refused. (#4.7.8)\nRemote host said: 535 no\n",
  );
});
