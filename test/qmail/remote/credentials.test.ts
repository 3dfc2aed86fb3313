/** Who gets to see a relay's password. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { remoteControls, remoteSchema } from "../../../commands/remote-config.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { makeAuthority, withoutOpenssl } from "./_authority.ts";
import { type FarServer, farServer, near, secureServer } from "./_server.ts";

const authority = withoutOpenssl ? null : makeAuthority();
after(() => authority?.[Symbol.dispose]());
const ca = `ca=${authority?.file}`;

const AUTH = { EHLO: "250-far.test\r\n250 AUTH PLAIN", AUTH: "235 welcome" };

async function send(far: FarServer, options: string) {
  using here = near({
    smtproutes: `:localhost:${far.port}`,
    remoteoptions: options,
    remoteauth: "relay:me:secret",
  });
  const outcome = await remote(here.config, {
    host: "far.test",
    sender: "",
    recipients: ["you@far.test"],
    message: bufferMessage(Buffer.from("x\n")),
  });
  const { status, text } = deliveryReport(outcome);
  const told = far.commands.some((line) => line.startsWith("AUTH"));
  return { report: status + text, told };
}

for (const [options, taken] of [
  [":auth=relay", false],
  [":auth=relay tls=may", false],
  [":auth=relay tls=none", false],
  [":auth=relay tls=require", false],
  [":auth=relay tls=verify", false],
  [":tls=none\nfar.test:auth=relay", false],
  [":auth=relay authwithouttls", true],
  [":auth=relay authwithouttls tls=none", true],
  [":authwithouttls\nfar.test:auth=relay", true],
] as const) {
  test(`a server without TLS, ${JSON.stringify(options)}: ${taken ? "told" : "not told"}`, async () => {
    await using far = await farServer(AUTH);
    const { report, told } = await send(far, options);
    assert.equal(told, taken);
    if (taken) assert.match(report, /^K/);
    else {
      assert.equal(
        report,
        "ZConnected to 127.0.0.1 but TLS failed: the server does not offer it, and a password goes over nothing less. (#4.7.5)\n",
      );
    }
  });
}

for (const [options, taken] of [
  [":auth=relay", false],
  [":auth=relay tls=may", false],
  [`:auth=relay ${ca}`, false],
  [`:auth=relay ${ca} name=other.test`, false],
  [`:auth=relay ${ca} name=mx.far.test`, true],
  [":auth=relay tls=require", true],
  [":auth=relay authwithouttls", true],
] as const) {
  const shown = options.replace(/\/\S*/, "CA");
  test(`a server with TLS, "${shown}": ${taken ? "told" : "not told"}`, {
    skip: withoutOpenssl,
  }, async () => {
    await using far = await secureServer(
      authority?.issue("mx.far.test") as { cert: string; key: string },
      AUTH,
    );
    const { report, told } = await send(far, options);
    assert.equal(told, taken, report);
    assert.match(report, taken ? /^K/ : /^ZConnected to 127\.0\.0\.1 but TLS failed: /);
  });
}

/** What a server that knows `accepts` alone is told by whoever has these options. */
async function login(accepts: string, options = "") {
  await using far = await farServer({
    EHLO: "250-far.test\r\n250-AUTH CRAM-MD5\r\n250-AUTH=LOGIN\r\n250-PIPELINING\r\n250 AUTH PLAIN",
    AUTH: (_, line) => {
      const mechanism = line.split(" ")[1] ?? "";
      // The answer to the challenge is no command that it knows.
      if (mechanism === "CRAM-MD5") return "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2U+";
      return mechanism === accepts ? "235 welcome" : "535 no";
    },
  });
  const { report } = await send(far, `:auth=relay authwithouttls ${options}`);
  const tried = far.commands.filter((line) => line.startsWith("AUTH"));
  return { report, tried: tried.map((line) => line.split(" ")[1]), commands: far.commands };
}

test("a way to log in that does not work is followed by the next, of all lines", async () => {
  const { report, tried } = await login("PLAIN");
  assert.match(report, /^K/);
  assert.deepEqual(tried, ["CRAM-MD5", "PLAIN"]);
  const none = await login("none");
  assert.match(
    none.report,
    /^ZConnected to 127\.0\.0\.1 but authentication failed: it was refused\./,
  );
  assert.deepEqual(none.tried, ["CRAM-MD5", "PLAIN", "LOGIN"]);
});

test("what is tried can be said, and what a server offers be passed over", async () => {
  const { report, tried } = await login("PLAIN", "mechanisms=login,plain");
  assert.match(report, /^K/);
  assert.deepEqual(tried, ["LOGIN", "PLAIN"]);
  const forbidden = await login("PLAIN", "mechanisms=login ignore=pipelining");
  assert.match(forbidden.report, /^Z/);
  const { report: nothing } = await login("PLAIN", "ignore=auth");
  assert.match(nothing, /the server offers no way that I know/);
});

test("an answer that is for now ends the search", async () => {
  await using far = await farServer({
    EHLO: "250-far.test\r\n250 AUTH PLAIN LOGIN",
    AUTH: "454 4.7.0 not now",
  });
  const { report } = await send(far, ":auth=relay authwithouttls");
  assert.match(report, /Remote host said: 454 4\.7\.0 not now/);
  assert.equal(far.commands.filter((line) => line.startsWith("AUTH")).length, 1);
});

test("an EHLO keyword that is passed over is not used", async () => {
  const pieces: string[] = [];
  await using far = await farServer({
    EHLO: "250-far.test\r\n250-SIZE 1\r\n250 PIPELINING",
    MAIL: (socket, line) => {
      pieces.push(line);
      socket.on("data", (bytes) => pieces.push(bytes.toString()));
      return "250 ok";
    },
  });
  const { report } = await send(far, ":ignore=SIZE,Pipelining");
  assert.match(report, /^K/);
  assert.deepEqual(pieces.slice(0, 2), ["MAIL FROM:<>", "RCPT TO:<you@far.test>\r\n"]);
});

test("the config says it by a word", () => {
  const destinations = {
    "far.test": { auth: "relay", authWithoutTls: true },
    "other.test": { auth: "relay", authWithoutTls: false, mechanisms: ["login", "plain"] },
    "": { ignore: ["PIPELINING"] },
  };
  assert.ok(remoteSchema.safeParse({ destinations }).success);
  for (const wrong of [{ mechanisms: ["ntlm"] }, { mechanisms: [] }, { ignore: ["a b"] }]) {
    assert.ok(!remoteSchema.safeParse({ destinations: { "": wrong } }).success);
  }
  assert.deepEqual(remoteControls({ destinations }), {
    remoteoptions: [
      "far.test:auth=relay authwithouttls",
      "other.test:auth=relay mechanisms=login,plain",
      ":ignore=PIPELINING",
    ],
  });
});
