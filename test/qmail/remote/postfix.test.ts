/** Postfix as the far side: TLS offered, required and verified, client certificates, AUTH, DANE. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Resolver } from "../../../qmail/dns/resolver.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { type NameServers, startNameServers, withoutNameServers } from "../dns/_nameserver.ts";
import { type Authority, type Issued, makeAuthority, withoutOpenssl } from "./_authority.ts";
import { type Postfix, startPostfix, withoutPostfix, withoutSasl } from "./_postfix.ts";
import { near } from "./_server.ts";

const skip = withoutPostfix || withoutOpenssl;
/** Nobody else's, so that port 25 is free there. */
const MX = "127.25.25.25";
const TEXT = "Subject: to a real server\n\n.dot\n..dots\nlast line without its end";

let authority: Authority;
let issued: Issued;
let postfix: Postfix;
before(async () => {
  if (skip) return;
  authority = makeAuthority();
  issued = authority.issue("mx.far.test");
  postfix = await startPostfix({
    issued,
    mx: { ip: MX, service: "may" },
    ...(withoutSasl ? {} : { login: { user: "me", password: "se:cret" } }),
  });
});
after(async () => {
  if (skip) return;
  await postfix[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
});

interface Send {
  readonly control: Readonly<Record<string, string>>;
  readonly dns?: Resolver;
  readonly recipient?: string;
  readonly sender?: string;
  readonly text?: string;
}

async function send({ control, dns, ...mail }: Send): Promise<string> {
  const { recipient = "bench@bench.test", sender = "me@near.test", text = TEXT } = mail;
  // By MX nobody sends to himself, and all of 127/8 is himself.
  using here = near({ notipme: MX, ...control }, dns ? { dns } : {});
  const outcome = await remote(here.config, {
    host: recipient.slice(recipient.lastIndexOf("@") + 1),
    sender,
    recipients: [recipient],
    message: bufferMessage(Buffer.from(text, "latin1")),
  });
  const report = deliveryReport(outcome);
  return report.status + report.text;
}

/** To one of Postfix's services, with these options. */
function sendTo(service: keyof Postfix["ports"], options: string, more: Partial<Send> = {}) {
  const control = {
    smtproutes: `:127.0.0.1:${postfix.ports[service]}`,
    remoteoptions: `:${options}`,
    ...more.control,
  };
  return send({ ...more, control });
}

const QUEUED = /^K127\.0\.0\.1 accepted message\.\nRemote host said: 250 2\.0\.0 Ok: queued as /;

test("Postfix without TLS: the message as it was; required TLS is not to be had", {
  skip,
}, async () => {
  assert.match(await sendTo("none", ""), /^K.*\nRemote host said: 250 .*\n$/);
  const text = await postfix.arrival();
  assert.match(text, /^Return-Path: <me@near\.test>\n/);
  assert.match(
    text,
    /\nSubject: to a real server\n[\s\S]*\n\n\.dot\n\.\.dots\nlast line without its end\n$/,
  );
  const required = await sendTo("none", "tls=require");
  assert.equal(
    required,
    "ZConnected to 127.0.0.1 but TLS failed: the server does not offer it. (#4.7.5)\n",
  );
});

test("Postfix that offers TLS gets it, whoever it is, unless the route says no", {
  skip,
}, async () => {
  const report = await sendTo("may", "");
  assert.match(report, QUEUED);
  assert.match(report, /TLS: TLSv1\.3 \S+, not verified \(default\)\n$/);
  assert.match(
    await postfix.arrival(),
    /\(using TLSv1\.3 with cipher [\s\S]*\(No client certificate requested\)/,
  );
  assert.doesNotMatch(await sendTo("may", "tls=none"), /TLS:/);
  assert.doesNotMatch(await postfix.arrival(), /using TLS/);
});

test("Postfix that wants TLS gets it; without it refuses", { skip }, async () => {
  assert.match(await sendTo("encrypt", "tls=require"), /not verified \(route\)\n$/);
  await postfix.arrival();
  const plain = await sendTo("encrypt", "tls=none");
  assert.match(
    plain,
    /^DConnected to 127\.0\.0\.1 but sender was rejected\.\nRemote host said: 530 5\.7\.0 /,
  );
});

test("Postfix's certificate: known authority and name, or no mail", { skip }, async () => {
  const ca = `ca=${authority.file}`;
  const good = await sendTo("may", `tls=verify name=mx.far.test ${ca}`);
  assert.match(good, /TLS: .*, verified \(route\)\n$/);
  await postfix.arrival();
  const failed = /^ZConnected to 127\.0\.0\.1 but TLS failed: the certificate is not /;
  assert.match(await sendTo("may", `tls=verify name=other.test ${ca}`), failed);
  assert.match(await sendTo("may", "tls=verify name=mx.far.test"), failed);
  assert.equal(postfix.waiting, 0);
});

test("Postfix that wants a client certificate: with it, with another one, without", {
  skip,
}, async () => {
  const client = authority.issue("near.test");
  const stranger = authority.issue("stranger.test");
  postfix.know(client);
  const withCertificate = async ({ cert, key }: Issued) => {
    using here = near({});
    const file = join(here.home, "client.pem");
    writeFileSync(file, cert + key, { mode: 0o600 });
    return sendTo("certificate", `tls=require cert=${file}`);
  };
  assert.match(await withCertificate(client), QUEUED);
  assert.match(await postfix.arrival(), /Client CN "near\.test", Issuer "Test CA"/);
  const refused =
    /^D127\.0\.0\.1 does not like recipient\.\nRemote host said: 554 5\.7\.1 .*Access denied/;
  assert.match(await withCertificate(stranger), refused);
  assert.match(await sendTo("certificate", "tls=require"), refused);
  assert.equal(postfix.waiting, 0);
});

test("Postfix with Cyrus SASL: the login, a wrong one, none", {
  skip: skip || withoutSasl,
}, async () => {
  const login = (remoteauth: string) => {
    return sendTo("login", "auth=relay tls=require", { control: { remoteauth } });
  };
  assert.match(await login("relay:me:se:cret"), QUEUED);
  assert.match(await postfix.arrival(), /\(Authenticated sender: me@bench\.test\)/);
  assert.match(
    await login("relay:me:guess"),
    /^Z.*authentication failed: it was refused\. \(#4\.7\.8\)\nRemote host said: 535 5\.7\.8 /,
  );
  assert.match(
    await sendTo("login", ""),
    /^D127\.0\.0\.1 does not like recipient\.\nRemote host said: 554/,
  );
  // Before TLS it offers no login.
  assert.match(
    await sendTo("login", "auth=relay tls=none authwithouttls", {
      control: { remoteauth: "relay:me:se:cret" },
    }),
    /^Z.*authentication failed: the server offers no way that I know\. \(#4\.7\.8\)\n$/,
  );
  assert.equal(postfix.waiting, 0);
});

test("Postfix and addresses in UTF-8: with SMTPUTF8 they come, without it they cannot be sent", {
  skip,
}, async () => {
  const mail = {
    sender: "j\xc3\xbcrgen@near.test",
    recipient: "bj\xc3\xb8rn@b\xc3\xbccher.test",
    text: "From: J\xc3\xbcrgen <j\xc3\xbcrgen@near.test>\nSubject: \xc3\xbc\n\nx\n",
  };
  assert.match(await sendTo("may", "", mail), QUEUED);
  const text = await postfix.arrival();
  assert.match(
    text,
    /^Return-Path: <j\xc3\xbcrgen@near\.test>\nX-Original-To: bj\xc3\xb8rn@b\xc3\xbccher\.test\n/,
  );
  assert.match(text, /\tby bench\.test \(Postfix\) with UTF8SMTPS? id /);
  assert.ok(text.includes("\nFrom: J\xc3\xbcrgen <j\xc3\xbcrgen@near.test>\n"));
  const lacking = "D127.0.0.1 takes no addresses that are not ASCII (no SMTPUTF8). (#5.6.7)\n";
  assert.equal(await sendTo("ascii", "", mail), lacking);
  assert.equal(postfix.waiting, 0);
  // Of the header alone Postfix takes it all the same, as everybody does.
  assert.match(await sendTo("ascii", "", { text: mail.text }), QUEUED);
  assert.ok((await postfix.arrival()).includes("\nSubject: \xc3\xbc\n"));
});

/** The bytes of a TLSA record 3 1 1 or, with the certificate of the authority, 2 0 1. */
function digest({ x509 }: { x509: Issued["x509"] }, selector: 0 | 1): string {
  const spki = x509.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256")
    .update(selector === 0 ? x509.raw : spki)
    .digest("hex");
}

test("DANE to Postfix by MX, signed by nsd's zone and checked by unbound", {
  skip: skip || withoutNameServers,
}, async () => {
  const mail = `@ MX 10 mx\nmx A ${MX}\n`;
  const wrong = digest(authority.issue("mx.far.test"), 1);
  await using servers: NameServers = await startNameServers({
    "signed.test": [
      `key MX 10 keymx\nkeymx A ${MX}\n_25._tcp.keymx TLSA 3 1 1 ${digest(issued, 1)}`,
      `wrong MX 10 wrongmx\nwrongmx A ${MX}\n_25._tcp.wrongmx TLSA 3 1 1 ${wrong}`,
      `other MX 10 othermx\nothermx A ${MX}\n_25._tcp.othermx TLSA 2 0 1 ${digest(authority, 0)}`,
      `bare MX 10 baremx\nbaremx A ${MX}`,
    ].join("\n"),
    "far.test": `${mail}_25._tcp.mx TLSA 3 1 1 ${wrong}`,
  });
  const dns = new Resolver({ servers: { servers: [servers.unbound], trusted: true } });
  const deliver = (host: string) => send({ control: {}, dns, recipient: `bench@${host}` });
  assert.match(await deliver("key.signed.test"), /^K127\.25\.25\.25 [\s\S]*, verified \(DANE\)\n$/);
  assert.equal(
    await deliver("wrong.signed.test"),
    "ZConnected to 127.25.25.25 but TLS failed: no TLSA record matches the certificate. (#4.7.5)\n",
  );
  assert.match(
    await deliver("other.signed.test"),
    /^Z.*the certificate is not for othermx\.signed\.test\./,
  );
  // Without TLSA, or without signatures that say that they are right, TLS is what is offered.
  const unverified = /^K127\.25\.25\.25 [\s\S]*, not verified \(default\)\n$/;
  assert.match(await deliver("bare.signed.test"), unverified);
  assert.match(await deliver("far.test"), unverified);
});
