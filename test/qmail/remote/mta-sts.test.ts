import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  type FetchPolicy,
  isNamedBy,
  parseStsPolicy,
  parseStsRecord,
  StsPolicies,
  stsHost,
} from "../../../qmail/remote/mta-sts.ts";
import { fetchStsPolicy } from "../../../qmail/remote/mta-sts-fetch.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { makeAuthority, withoutOpenssl } from "./_authority.ts";
import { fakeDns, mx } from "./_dns.ts";
import { farServer, near } from "./_server.ts";

const POLICY =
  "version: STSv1\r\nmode: enforce\r\nmx: mx.far.test\r\nmx: *.out.test\r\nmax_age: 86400\r\n";

test("parseStsRecord()", () => {
  assert.equal(parseStsRecord("v=STSv1; id=20260101T000000;"), "20260101T000000");
  assert.equal(parseStsRecord("v=STSv1;id=a1"), "a1");
  for (const text of [
    "v=STSv1;",
    "v=STSv2; id=1;",
    "id=1; v=STSv1;",
    "v=STSv1; id=a-b;",
    "",
    "v=spf1 -all",
  ]) {
    assert.equal(parseStsRecord(text), null, text);
  }
});

test("parseStsPolicy()", () => {
  assert.deepEqual(parseStsPolicy(POLICY), {
    mode: "enforce",
    mx: ["mx.far.test", "*.out.test"],
    maxAge: 86_400,
  });
  assert.deepEqual(parseStsPolicy("version: STSv1\nmode: none\nmax_age: 99999999999\n"), null);
  assert.deepEqual(parseStsPolicy("version: STSv1\nmode: none\nmax_age: 9999999999\n"), {
    mode: "none",
    mx: [],
    maxAge: 31_557_600,
  });
  for (const [from, to] of [
    ["STSv1", "STSv2"],
    ["enforce", "perhaps"],
    ["max_age: 86400", "max_age: soon"],
    ["max_age: 86400\r\n", ""],
  ] as const) {
    assert.equal(parseStsPolicy(POLICY.replace(from, to)), null, to);
  }
  assert.equal(parseStsPolicy("version: STSv1\nmode: enforce\nmax_age: 1\n"), null);
});

test("isNamedBy()", () => {
  const policy = parseStsPolicy(POLICY);
  assert.ok(policy);
  for (const [name, named] of [
    ["mx.far.test", true],
    ["MX.far.test.", true],
    ["a.out.test", true],
    ["a.b.out.test", false],
    ["out.test", false],
    ["x.mx.far.test", false],
  ] as const) {
    assert.equal(isNamedBy(policy, name), named, name);
  }
});

test("a policy is asked for under names of hosts alone", async (t) => {
  for (const [domain, host] of [
    ["far.test", "mta-sts.far.test"],
    ["FAR.test.", "mta-sts.far.test"],
    ["b\xc3\xbccher.test", "mta-sts.xn--bcher-kva.test"],
    ["far.test:8080", null],
    ["far.test/path", null],
    ["far.test:8080/x?", null],
    ["me@far.test", null],
    ["far.test#", null],
    ["far.test\\x", null],
    ["far%2etest", null],
    ["[127.0.0.1]", null],
    ["127.0.0.1", null],
    ["::1", null],
    ["far..test", null],
    ["-far.test", null],
    ["far-.test", null],
    ["a_b.test", null],
    ["", null],
    [`${"a".repeat(60)}.`.repeat(4) + "b".repeat(9), null],
  ] as const) {
    assert.equal(stsHost(domain), host, domain);
    if (host !== null) continue;
    let asked = 0;
    const { it, dns } = policies(t, async () => {
      asked++;
      return POLICY;
    });
    dns.lookup = async () => {
      const records: never[] = ["v=STSv1; id=1;" as never];
      return { status: "found", records, secure: false };
    };
    assert.equal(await it.find(domain), null, domain);
    assert.equal(asked, 0, domain);
    await assert.rejects(fetchStsPolicy(dns, domain), /is no name of a host/);
  }
});

test("a name that leads into a network of ours is not asked", async (t) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections++;
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const zone of [
    { "A mta-sts.far.test": ["127.0.0.1"] },
    { "A mta-sts.far.test": ["10.0.0.1", "192.168.1.1"], "AAAA mta-sts.far.test": ["::1"] },
    { "AAAA mta-sts.far.test": ["::ffff:127.0.0.1", "fe80::1", "fd00::1"] },
  ]) {
    await assert.rejects(
      fetchStsPolicy(fakeDns(zone), "far.test", { port }),
      /"mta-sts\.far\.test" has no public address/,
    );
  }
  assert.equal(connections, 0);
});

test("what is known holds no longer for a clock that goes back, and a failure is forgotten in time", async (t) => {
  let works = true;
  const { it, make, clock, record } = policies(t, async () => {
    if (!works) throw new Error("down");
    return POLICY;
  });
  await it.find("far.test");
  works = false;
  clock.ms -= 40 * 86_400_000;
  for (const each of [it, make()]) assert.equal((await each.find("far.test"))?.mode, "enforce");
  clock.ms += 86_400_000;
  record.text = [];
  assert.equal(await it.find("far.test"), null);
});

test("who could not be asked is asked again when names are", async (t) => {
  let asked = 0;
  const { it } = policies(t, async () => {
    asked++;
    throw new Error("down");
  });
  await it.find("far.test");
  await it.find("far.test");
  it.forgetTrouble();
  assert.equal(it.trouble("far.test"), null);
  await it.find("far.test");
  assert.equal(asked, 2);
});

function policies(t: TestContext, fetch: FetchPolicy, path?: string) {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-sts-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = { ms: 1e12 };
  const record = { text: ["v=STSv1; id=1;"] as readonly string[] | "trouble" };
  const dns: ReturnType<typeof fakeDns> = {
    lookup: (name, type) => fakeDns({ "TXT _mta-sts.far.test": record.text }).lookup(name, type),
  };
  const file = path ?? join(directory, "new/mta-sts.json");
  const now = () => clock.ms;
  const make = () => new StsPolicies({ dns, fetch, now, steady: now, path: file });
  return { it: make(), make, clock, record, file, dns };
}

test("a policy is fetched once, and again when its id changes or it gets old", async (t) => {
  let fetched = 0;
  const { it, clock, record } = policies(t, async () => {
    fetched++;
    return POLICY;
  });
  await Promise.all([it.find("far.test"), it.find("FAR.test")]);
  assert.equal((await it.find("far.test"))?.mode, "enforce");
  assert.equal(fetched, 1);
  record.text = ["v=STSv1; id=2;"];
  await it.find("far.test");
  assert.equal(fetched, 2);
  clock.ms += 86_400_000;
  await it.find("far.test");
  assert.equal(fetched, 3);
  assert.equal(await it.find("other.test"), null);
});

test("what is known holds without DNS, without the web server, and over a restart", async (t) => {
  let works = true;
  const { it, make, clock, record, file } = policies(t, async () => {
    if (!works) throw new Error("down");
    return POLICY;
  });
  await it.find("far.test");
  assert.ok(existsSync(file));
  works = false;
  for (const text of ["trouble", [], ["v=STSv1; id=2;"]] as const) {
    record.text = text;
    assert.equal((await make().find("far.test"))?.mode, "enforce", String(text));
  }
  clock.ms += 86_400_000;
  assert.equal(await make().find("far.test"), null);
});

test("who only looks writes nothing down", async (t) => {
  const { dns, file } = policies(t, async () => POLICY);
  const looking = new StsPolicies({
    dns,
    fetch: async () => POLICY,
    now: Date.now,
    path: file,
    keep: false,
  });
  assert.equal((await looking.find("far.test"))?.mode, "enforce");
  assert.ok(!existsSync(file));
});

test("why a policy could not be had is known until it is asked for again", async (t) => {
  const certificate = Object.assign(new Error("expired"), { code: "CERT_HAS_EXPIRED" });
  for (const [fetch, type] of [
    [async () => "<html>", "sts-policy-invalid"],
    [() => Promise.reject(new Error("status 404")), "sts-policy-fetch-error"],
    [() => Promise.reject(certificate), "sts-webpki-invalid"],
  ] as const) {
    const { it, clock } = policies(t, fetch);
    assert.equal(it.trouble("far.test"), null);
    await it.find("far.test");
    assert.equal(it.trouble("FAR.test")?.type, type);
    clock.ms += 300_001;
    assert.equal(it.trouble("far.test"), null);
  }
});

test("a web server that fails is left alone for five minutes", async (t) => {
  let asked = 0;
  const { it, clock } = policies(t, async () => {
    asked++;
    return "<html>";
  });
  assert.equal(await it.find("far.test"), null);
  assert.equal(await it.find("far.test"), null);
  assert.equal(asked, 1);
  clock.ms += 300_001;
  await it.find("far.test");
  assert.equal(asked, 2);
});

test("fetchStsPolicy() takes text from the right host alone", {
  skip: withoutOpenssl,
}, async (t) => {
  using authority = makeAuthority();
  const { cert, key } = authority.issue("mta-sts.far.test");
  const server = createServer({ cert, key }, (asked, answer) => {
    const here = asked.headers.host?.split(":")[0];
    urls.push(`${here}${asked.url}`);
    if (moved) answer.writeHead(302, { location: `https://mta-sts.far.test:${port}/elsewhere` });
    else if (asked.url !== "/.well-known/mta-sts.txt") answer.writeHead(404);
    else answer.writeHead(200, { "content-type": mode.type });
    if (mode.hangs) answer.write("version: ");
    else answer.end(mode.text);
  });
  const urls: string[] = [];
  let moved = false;
  const mode = { type: "text/plain", text: POLICY, hangs: false };
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const zone = ["far", "other"].map((name) => [`A mta-sts.${name}.test`, ["127.0.0.1"]]);
  const dns = fakeDns(Object.fromEntries(zone));
  const ca = authority.x509.toString();
  const fetch = (domain: string) => fetchStsPolicy(dns, domain, { port, ca, privateAllowed: true });
  assert.equal(await fetch("far.test"), POLICY);
  await assert.rejects(fetch("other.test"), /altnames/i);
  await assert.rejects(fetch("nowhere.test"), /cannot find the host/);
  await assert.rejects(
    fetchStsPolicy(dns, "far.test", { port, privateAllowed: true }),
    /certificate/,
  );
  mode.text = "x".repeat(100_000);
  await assert.rejects(fetch("far.test"));
  mode.text = POLICY;
  mode.type = "text/html";
  await assert.rejects(fetch("far.test"), /type "text\/html"/);
  mode.type = "text/plain";
  mode.hangs = true;
  const hooks = { port, ca, privateAllowed: true, timeoutMs: 100 };
  await assert.rejects(fetchStsPolicy(dns, "far.test", hooks), /timeout|aborted/i);
  mode.hangs = false;
  // A redirect is not followed, to wherever.
  moved = true;
  urls.length = 0;
  await assert.rejects(fetch("far.test"), /status 302/);
  assert.deepEqual(urls, ["mta-sts.far.test/.well-known/mta-sts.txt"]);
});

test("a policy that is enforced rules out servers that it does not name, and TLS without proof", async () => {
  await using far = await farServer();
  const zone = { "MX far.test": [mx(1, "mx.far.test")], "A mx.far.test": ["127.0.0.1"] };
  const send = async (text: string) => {
    const sts = { find: () => Promise.resolve(parseStsPolicy(text)) };
    using here = near({}, { zone, sts });
    const plan = { ...here.config.plans.find("", "far.test"), port: far.port };
    const plans = { find: () => plan } as unknown as typeof here.config.plans;
    const outcome = await remote(
      { ...here.config, isOwn: () => false, plans },
      {
        host: "far.test",
        sender: "",
        recipients: ["you@far.test"],
        message: bufferMessage(Buffer.from("x\n")),
      },
    );
    const { status, text: said } = deliveryReport(outcome);
    return status + said;
  };
  assert.match(await send(POLICY), /^Z.*TLS failed: the server does not offer it/);
  assert.match(
    await send(POLICY.replace("mx.far.test", "mx.near.test")),
    /^Z.*mx\.far\.test is not named by the MTA-STS policy of far\.test/,
  );
  assert.equal(far.messages.length, 0);
  assert.match(await send(POLICY.replace("enforce", "testing")), /^K/);
});
