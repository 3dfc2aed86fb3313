/**
 * TLS broken in each way, under each policy that a domain may have: the report, the line in qmail-send's log, and
 * what is counted for the report to the domain.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { Tlsa } from "../../../qmail/dns/message.ts";
import type { StsPolicy } from "../../../qmail/remote/mta-sts.ts";
import { deliveryReport, remote } from "../../../qmail/remote/remote.ts";
import type { TlsFaultType } from "../../../qmail/remote/tls-fault.ts";
import type { TlsSession } from "../../../qmail/remote/tls-reports.ts";
import { bufferMessage } from "../../../qmail/spawn/message.ts";
import { type Authority, type Issued, makeAuthority, withoutOpenssl } from "./_authority.ts";
import { fakeDns, mx, type Zone } from "./_dns.ts";
import { logged } from "./_logged.ts";
import { type Behaviour, type FarServer, farServer, near, secureServer } from "./_server.ts";

const skip = withoutOpenssl;
const authority = skip ? null : makeAuthority();
const stranger = skip ? null : makeAuthority();
after(() => {
  authority?.[Symbol.dispose]();
  stranger?.[Symbol.dispose]();
});

const FAR = "mx.far.test";

/** The server at the other end. */
const SERVERS: Readonly<Record<string, () => Promise<FarServer>>> = {
  good: () => secureServer(issue(FAR)),
  "other name": () => secureServer(issue("other.test")),
  expired: () => secureServer(issue(FAR, -1)),
  stranger: () => secureServer((stranger as Authority).issue(FAR)),
  "no TLS": () => farServer(),
  refuses: () => farServer(offering("454 no")),
  garbage: () =>
    farServer(
      offering((socket) => {
        socket.write("220 go\r\n");
        socket.once("data", () => socket.end("this is no TLS at all\r\n"));
      }),
    ),
  "530 in TLS": () => secureServer(issue(FAR), { EHLO: "530 no", HELO: "530 no" }),
  "gone in TLS": () => secureServer(issue(FAR), { EHLO: (socket) => void socket.destroy() }),
  injects: () => farServer(offering((socket) => void socket.write("220 go\r\n250 injected\r\n"))),
};

function offering(STARTTLS: NonNullable<Behaviour["STARTTLS"]>): Behaviour {
  return { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS };
}

function issue(name: string, days?: number): Issued {
  return (authority as Authority).issue(name, days);
}

type PolicyName = "none" | "enforce" | "testing" | "DANE" | "DANE-TA";

/** "good": no fault. */
type Counted = TlsFaultType | "good";

interface Row {
  readonly server: keyof typeof SERVERS;
  readonly policy: PolicyName;
  readonly counted: Counted;
  /** K: what stands behind "TLS: ", or null for no word of it. Z: why. */
  readonly report: readonly ["K", RegExp | null] | readonly ["Z", RegExp];
}

const CIPHER = "TLSv1\\.3 TLS_\\w+";
const NOT_OFFERED = "the server does not offer it";
const REFUSED = "the server refused it \\(454\\)";
const INJECTED = "the server said more than it was asked";
const EXPIRED = "the certificate is not trusted: cert has expired";
const UNKNOWN = "the certificate is not trusted: self signed cert in chain";
const OTHER_NAME = "the certificate is not for mx\\.far\\.test";
const NO_MATCH = "no TLSA record matches the certificate";

const ROWS: readonly Row[] = [
  row("good", "none", "good", ["K", `${CIPHER}, not verified \\(default\\)`]),
  row("other name", "none", "good", ["K", `${CIPHER}, not verified \\(default\\)`]),
  row("no TLS", "none", "starttls-not-supported", ["K", null]),
  row("refuses", "none", "starttls-not-supported", ["K", null]),
  row("garbage", "none", "validation-failure", ["K", null]),
  row("injects", "none", "validation-failure", ["K", null]),
  row("530 in TLS", "none", "good", ["K", null]),
  row("gone in TLS", "none", "good", ["K", null]),

  row("good", "enforce", "good", ["K", `${CIPHER}, verified \\(MTA-STS\\)`]),
  row("other name", "enforce", "certificate-host-mismatch", ["Z", OTHER_NAME]),
  row("expired", "enforce", "certificate-expired", ["Z", EXPIRED]),
  row("stranger", "enforce", "certificate-not-trusted", ["Z", UNKNOWN]),
  row("no TLS", "enforce", "starttls-not-supported", ["Z", NOT_OFFERED]),
  row("refuses", "enforce", "starttls-not-supported", ["Z", REFUSED]),
  row("garbage", "enforce", "validation-failure", ["Z", "wrong version number"]),
  row("injects", "enforce", "validation-failure", ["Z", INJECTED]),

  row("good", "testing", "good", ["K", `${CIPHER}, verified \\(MTA-STS testing\\)`]),
  row("other name", "testing", "certificate-host-mismatch", [
    "K",
    `${CIPHER}, not verified \\(MTA-STS testing: ${OTHER_NAME}\\)`,
  ]),
  row("expired", "testing", "certificate-expired", [
    "K",
    `${CIPHER}, not verified \\(MTA-STS testing: ${EXPIRED}\\)`,
  ]),
  row("stranger", "testing", "certificate-not-trusted", [
    "K",
    `${CIPHER}, not verified \\(MTA-STS testing: (${UNKNOWN})\\)`,
  ]),
  row("no TLS", "testing", "starttls-not-supported", [
    "K",
    `none \\(MTA-STS testing: ${NOT_OFFERED}\\)`,
  ]),
  row("refuses", "testing", "starttls-not-supported", [
    "K",
    `none \\(MTA-STS testing: ${REFUSED}\\)`,
  ]),
  row("garbage", "testing", "validation-failure", [
    "K",
    "none \\(MTA-STS testing: wrong version number\\)",
  ]),
  row("injects", "testing", "validation-failure", ["K", `none \\(MTA-STS testing: ${INJECTED}\\)`]),

  row("good", "DANE", "good", ["K", `${CIPHER}, verified \\(DANE\\)`]),
  row("stranger", "DANE", "tlsa-invalid", ["Z", NO_MATCH]),
  row("no TLS", "DANE", "starttls-not-supported", ["Z", NOT_OFFERED]),
  row("garbage", "DANE", "validation-failure", ["Z", "wrong version number"]),
  row("good", "DANE-TA", "good", ["K", `${CIPHER}, verified \\(DANE\\)`]),
  row("other name", "DANE-TA", "certificate-host-mismatch", ["Z", OTHER_NAME]),
  row("expired", "DANE-TA", "certificate-expired", [
    "Z",
    "a certificate of the chain is not valid now",
  ]),
  row("stranger", "DANE-TA", "tlsa-invalid", ["Z", NO_MATCH]),
];

function row(
  server: string,
  policy: PolicyName,
  counted: Counted,
  [status, text]: readonly ["K" | "Z", string | null],
): Row {
  const pattern = text === null ? null : new RegExp(`^(?:${text})$`);
  return { server, policy, counted, report: [status, pattern] as Row["report"] };
}

/** One record for the certificate: of the server itself, or of its authority. */
async function tlsa(policy: PolicyName, issued: Issued | null): Promise<Tlsa[]> {
  const [usage, x509] = policy === "DANE" ? [3, issued?.x509] : [2, (authority as Authority).x509];
  const certificate = createHash("sha256")
    .update(x509?.raw ?? "")
    .digest();
  return [{ usage: usage as number, selector: 0, matchingType: 1, certificate }];
}

interface Came {
  readonly report: string;
  readonly counted: readonly TlsSession[];
  readonly messages: number;
}

async function deliver(
  far: FarServer,
  policy: PolicyName,
  records: readonly Tlsa[] | null,
): Promise<Came> {
  const zone: Zone = {
    "MX far.test": [mx(10, FAR)],
    [`A ${FAR}`]: ["127.0.0.1"],
    ...(records ? { [`TLSA _${far.port}._tcp.${FAR}`]: records } : {}),
  };
  const counted: TlsSession[] = [];
  const sts: StsPolicy | null =
    policy === "enforce" || policy === "testing"
      ? { mode: policy, mx: [FAR], maxAge: 86_400 }
      : null;
  using here = near(
    { remoteoptions: `:ca=${authority?.file}` },
    {
      dns: fakeDns(zone, records !== null),
      sts: { find: () => Promise.resolve(sts) },
      tlsReports: { note: (session) => void counted.push(session) },
    },
  );
  // Mail by MX goes to port 25: the test's server listens elsewhere.
  const plan = { ...here.config.plans.find("", "far.test"), port: far.port };
  const plans = { find: () => plan } as unknown as typeof here.config.plans;
  const outcome = await remote(
    { ...here.config, isOwn: () => false, plans },
    {
      host: "far.test",
      sender: "me@near.test",
      recipients: ["you@far.test"],
      message: bufferMessage(Buffer.from("Subject: x\n\ny\n")),
    },
  );
  const { status, text } = deliveryReport(outcome);
  return { report: status + text, counted, messages: far.messages.length };
}

for (const { server, policy, counted, report } of ROWS) {
  test(`${policy}, server: ${server}`, { skip }, async () => {
    // The record is of the good server's certificate, which all of them but the good one have not.
    const issued = policy === "DANE" ? issue(FAR) : null;
    await using far =
      issued && server === "good"
        ? await secureServer(issued)
        : await (SERVERS[server] as () => Promise<FarServer>)();
    const records = policy.startsWith("DANE") ? await tlsa(policy, issued) : null;
    const came = await deliver(far, policy, records);
    const [status, expected] = report;
    const tls = /^TLS: (.*)$/m.exec(came.report)?.[1] ?? null;
    const why = /but TLS failed: (.*)\. \(#4\.7\.5\)\n$/.exec(came.report)?.[1] ?? null;
    assert.equal(came.report[0], status, came.report);
    if (expected === null) assert.equal(tls, null);
    else assert.match((status === "K" ? tls : why) ?? "", expected);
    const line = logged(came.report);
    const word =
      status === "K"
        ? "success: 127.0.0.1_accepted"
        : "deferral: Connected_to_127.0.0.1_but_TLS_failed:_";
    assert.ok(line.startsWith(`delivery 1: ${word}`), line);
    if (tls !== null) assert.ok(line.includes(`/TLS:_${tls.replaceAll(" ", "_")}/`), line);
    assert.equal(came.messages, status === "K" ? 1 : 0);
    assert.deepEqual(
      came.counted.map(({ fault }) => fault?.type ?? "good"),
      [counted],
    );
    const type = policy === "none" ? "no-policy-found" : policy.startsWith("DANE") ? "tlsa" : "sts";
    assert.equal(came.counted[0]?.published.type, type);
  });
}

test("TLSA records out of reach, a policy that names other servers, one that cannot be fetched: counted", async () => {
  await using far = await farServer();
  const zone = { "MX far.test": [mx(10, FAR)], [`A ${FAR}`]: ["127.0.0.1"] };
  const send = async (world: Parameters<typeof near>[1]) => {
    const counted: TlsSession[] = [];
    const tlsReports = { note: (session: TlsSession) => void counted.push(session) };
    using here = near({}, { ...world, tlsReports });
    const plan = { ...here.config.plans.find("", "far.test"), port: far.port };
    const plans = { find: () => plan } as unknown as typeof here.config.plans;
    const { report } = await remote(
      { ...here.config, isOwn: () => false, plans },
      {
        host: "far.test",
        sender: "",
        recipients: ["you@far.test"],
        message: bufferMessage(Buffer.from("x\n")),
      },
    );
    return [
      report.status,
      ...counted.map(({ fault, published }) => `${published.type} ${fault?.type}`),
    ];
  };
  const trouble: Zone = { ...zone, [`TLSA _${far.port}._tcp.${FAR}`]: "trouble" };
  assert.deepEqual(await send({ dns: fakeDns(trouble, true) }), ["Z", "tlsa dnssec-invalid"]);
  const enforce: StsPolicy = { mode: "enforce", mx: ["other.test"], maxAge: 86_400 };
  assert.deepEqual(await send({ zone, sts: { find: () => Promise.resolve(enforce) } }), [
    "Z",
    "sts validation-failure",
  ]);
  const fault = { type: "sts-policy-fetch-error", reason: "down" } as const;
  const sts = { find: () => Promise.resolve(null), trouble: () => fault };
  assert.deepEqual(await send({ zone, sts }), ["K", "sts sts-policy-fetch-error"]);
});

test("where TLS is required a server that does not go on behind the handshake gets nothing in the clear", {
  skip,
}, async () => {
  for (const EHLO of ["530 no", (socket: Socket) => void socket.destroy()]) {
    await using far = await secureServer(issue(FAR), { EHLO, HELO: EHLO });
    using here = near({ smtproutes: `:127.0.0.1:${far.port}`, remoteoptions: ":tls=require" });
    const { report } = await remote(here.config, {
      host: "far.test",
      sender: "",
      recipients: ["you@far.test"],
      message: bufferMessage(Buffer.from("x\n")),
    });
    assert.equal(report.status, "Z");
    assert.equal(far.connections, 1);
  }
});
