/** Who gets to see a relay's password. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { remoteControls } from "../../../commands/remote-config.ts";
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

test("the config says it by a word", () => {
  const destinations = {
    "far.test": { auth: "relay", authWithoutTls: true },
    "other.test": { auth: "relay", authWithoutTls: false },
  };
  assert.deepEqual(remoteControls({ destinations }), {
    remoteoptions: ["far.test:auth=relay authwithouttls", "other.test:auth=relay"],
  });
});
