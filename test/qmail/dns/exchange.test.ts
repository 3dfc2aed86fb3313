import assert from "node:assert/strict";
import { test } from "node:test";
import { exchange } from "../../../qmail/dns/exchange.ts";

test("a name server that there is no way to is an error, not the end of the process", async () => {
  // No datagram may be sent to the broadcast address, as none to a net without a route.
  const server = { ip: "255.255.255.255", port: 53 };
  await assert.rejects(exchange(server, { name: "x.test", type: "A" }, 5000), /EACCES|ENETUNREACH/);
});
