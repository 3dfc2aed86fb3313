import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Reception, receivedLine } from "../../../qmail/smtpd/received.ts";

const RECEPTION: Reception = {
  peer: { ip: "192.0.2.5", host: "mx.client.test", info: null },
  helo: null,
  esmtp: false,
  tls: null,
  authenticated: false,
  by: "mail.test",
  now: 812_000_000,
};

const testReceived = (name: string, change: Partial<Reception>, line: string) => {
  test(`receivedLine() ${name}`, () => {
    assert.equal(receivedLine({ ...RECEPTION, ...change }), line);
  });
};
const date = "25 Sep 1995 03:33:20 -0000";
testReceived(
  "names the client",
  {},
  `Received: from mx.client.test (192.0.2.5)\n  by mail.test with SMTP; ${date}\n`,
);
testReceived(
  "leaves out a HELO that is the host's name",
  { helo: "MX.client.test" },
  `Received: from mx.client.test (192.0.2.5)\n  by mail.test with SMTP; ${date}\n`,
);
testReceived(
  "shows another HELO and the user",
  { helo: "liar", peer: { ...RECEPTION.peer, info: "joe" }, esmtp: true },
  `Received: from mx.client.test (HELO liar) (joe@192.0.2.5)\n  by mail.test with ESMTP; ${date}\n`,
);
testReceived(
  "says that a user has logged in over TLS",
  {
    peer: { ...RECEPTION.peer, info: "joe" },
    esmtp: true,
    tls: { protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", servername: null },
    authenticated: true,
  },
  `Received: from mx.client.test (joe@192.0.2.5)\n  by mail.test with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384); ${date}\n`,
);
testReceived(
  "makes bytes harmless",
  { helo: "a b)\n(x\xff\0_~", peer: { ip: "::1", host: "unknown", info: "j(o)e" } },
  `Received: from unknown (HELO a?b???x????) (j?o?e@::1)\n  by mail.test with SMTP; ${date}\n`,
);

test("receivedLine() has two lines whatever the client says", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, text, (helo, host, info) => {
      const line = receivedLine({ ...RECEPTION, helo, peer: { ip: "192.0.2.5", host, info } });
      assert.match(line, /^Received: from [!-~]*( \(HELO [!-~]*\))? \([!-~]*\)\n {2}by [^\n]*\n$/);
    }),
  );
});
