import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readWorldWithPolicies } from "../../../qmail/remote/world.ts";
import { dnsServer } from "../dns/_server.ts";
import { near } from "./_server.ts";

test("names are asked anew of whoever is to be asked then, and policies are kept in one place", async () => {
  const answering = (text: string) =>
    dnsServer(({ name, type }) => ({
      answers: type === "TXT" ? [{ name, type: "TXT", ttl: 600, data: text }] : [],
    }));
  await using first = await answering("first");
  await using second = await answering("second");
  using here = near({ dnsservers: `127.0.0.1:${first.server.port}` });
  const world = readWorldWithPolicies(here.home, { keep: false });
  const said = async () => {
    const found = await world.dns.lookup("a.test", "TXT");
    return found.status === "found" ? found.records[0] : found.status;
  };
  const { sts } = world;
  assert.equal(await said(), "first");
  const path = join(here.home, "control/dnsservers");
  writeFileSync(path, `127.0.0.1:${second.server.port}\n`);
  assert.equal(await said(), "first");
  world.renew();
  assert.equal(await said(), "second");
  // The policies ask there, too, and are the same: nobody else writes their file.
  await sts.find("b.test");
  assert.deepEqual(second.asked.at(-1), "udp TXT _mta-sts.b.test");
  writeFileSync(path, "nonsense\n");
  assert.throws(() => world.renew(), /cannot read control\/dnsservers/);
  assert.equal(await said(), "second");
});
