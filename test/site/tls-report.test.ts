/** Mail by MX to a domain with an MTA-STS policy under test: it goes, and what is wrong is in the log and the report. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { dnsServer } from "../qmail/dns/_server.ts";
import { farServer } from "../qmail/remote/_server.ts";
import { makeSite, until } from "./_site.ts";

/** Nobody else's, so that port 25 is free there. */
const MX = "127.25.25.26";

const skip = await (async () => {
  const server = createServer().listen(25, MX);
  // Without root, or with another there, it says so.
  const open = await once(server, "listening").then(
    () => true,
    () => false,
  );
  server.close();
  return !open && "nothing may listen on port 25";
})();

test("tls-report: what came of a policy under test", { skip }, async () => {
  await using far = await farServer({}, 25, MX);
  await using dns = await dnsServer(({ type, name }) => {
    const data = { "MX far.test": { preference: 1, exchange: "mx.far.test" }, "A mx.far.test": MX };
    const found = data[`${type} ${name}` as keyof typeof data];
    // By a resolver: recursion is available.
    if (found === undefined) return { flags: 0x80 };
    return { answers: [{ type, name, ttl: 60, class: "IN", data: found } as never] };
  });
  await using site = await makeSite({
    remote: { nameServers: [`127.0.0.1:${dns.server.port}`] },
  });
  await site.ok("install");
  const none = await site.ctl("tls-report");
  assert.equal(none.code, 111);
  assert.match(none.stderr, /nothing is known of TLS\n {2}no mail went by MX yet/);

  // As if it had been fetched before: a policy that is known holds without DNS and web server.
  const policy = { mode: "testing", mx: ["*.elsewhere.test"], maxAge: 86_400 };
  const known = [["far.test", { id: "1", policy, until: Date.now() + 86_400_000 }]];
  mkdirSync(join(site.home, "run/remote"), { recursive: true });
  writeFileSync(join(site.home, "run/remote/mta-sts.json"), JSON.stringify(known));
  // By MX nobody sends to himself, and all of 127/8 is himself.
  writeFileSync(join(site.home, "control/notipme"), `${MX}\n`);
  await site.ok("start");
  await site.ok("send", "--from", "me@near.test", "--to", "you@far.test", "--body", "x");
  const log = () => readFileSync(join(site.home, "log/qmail-send/current"), "latin1");
  await until(() => /success: /.test(log()), "the delivery");
  assert.match(
    log(),
    /success: 127\.25\.25\.26_accepted_message\.\/Remote_host_said:_250_taken\/TLS:_none_\(MTA-STS_testing:_mx\.far\.test_is_not_named_by_the_MTA-STS_policy_of_far\.test\)\/\n/,
  );
  assert.equal(far.messages.length, 1);
  await site.ok("stop");

  const day = new Date().toISOString().slice(0, 10);
  const text = await site.ok("tls-report");
  assert.match(text, new RegExp(`^TLS with other domains on ${day} \\(UTC\\)\\n`));
  assert.match(
    text,
    /\nfar\.test +MTA-STS +0 +1 +1 starttls-not-supported, mx\.far\.test \[127\.25\.25\.26\]: the server does not offer it/,
  );
  const report = JSON.parse(await site.ok("tls-report", day, "--domain", "FAR.test", "--json"));
  assert.equal(report["organization-name"], "mail.example.test");
  assert.equal(report["contact-info"], "postmaster@mail.example.test");
  assert.deepEqual(report["date-range"], {
    "start-datetime": `${day}T00:00:00Z`,
    "end-datetime": `${day}T23:59:59Z`,
  });
  assert.equal(report["report-id"], `${day}_far.test@mail.example.test`);
  assert.deepEqual(report.policies, [
    {
      policy: {
        "policy-type": "sts",
        "policy-string": [
          "version: STSv1",
          "mode: testing",
          "mx: *.elsewhere.test",
          "max_age: 86400",
        ],
        "policy-domain": "far.test",
        "mx-host": ["*.elsewhere.test"],
      },
      summary: { "total-successful-session-count": 0, "total-failure-session-count": 1 },
      "failure-details": [
        {
          "result-type": "starttls-not-supported",
          "sending-mta-ip": "127.0.0.1",
          "receiving-mx-hostname": "mx.far.test",
          "receiving-ip": MX,
          "failed-session-count": 1,
          "failure-reason-code": "the server does not offer it",
        },
      ],
    },
  ]);
  assert.deepEqual(JSON.parse(await site.ok("tls-report", "--json")), [report]);
  const other = await site.ctl("tls-report", "2026-01-01");
  assert.match(
    other.stderr,
    new RegExp(`nothing is known of TLS on 2026-01-01\\n {2}something is known of ${day}`),
  );
  assert.equal((await site.ctl("tls-report", "yesterday")).code, 100);

  // A trace sees the same policy, and counts nowhere.
  assert.match(
    await site.ok("send", "--trace", "you@far.test"),
    /connecting to 127\.25\.25\.26 port 25; TLS: if offered; a policy under test wants a certificate for mx\.far\.test \(MTA-STS\)\n/,
  );
  assert.deepEqual(JSON.parse(await site.ok("tls-report", "--json")), [report]);
});
