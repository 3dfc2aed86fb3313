import assert from "node:assert/strict";
import { test } from "node:test";
import { reverseName } from "../../../commands/install/host-name.ts";

/** Reverse DNS with these names; an address that is not in it has none. */
function dns(names: Record<string, string[]>): (address: string) => Promise<string[]> {
  return async (address) => {
    const found = names[address];
    if (!found) throw new Error("ENOTFOUND");
    return found;
  };
}

test("reverseName() takes the first full name, in lower case", async () => {
  const reverse = dns({
    "10.0.0.1": ["localhost"],
    "10.0.0.3": ["Mail.Example.COM", "other.example.com"],
    "10.0.0.4": ["later.example.com"],
  });
  const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
  assert.equal(await reverseName(addresses, reverse), "mail.example.com");
  assert.equal(await reverseName([], reverse), null);
  assert.equal(await reverseName(["10.0.0.1", "10.0.0.2"], reverse), null);
});

test("reverseName() takes nothing that is no host name", async () => {
  const names = ["a b.test", "x.test\nme", "../x.test", ".test", `${"a.".repeat(130)}test`];
  for (const name of names) assert.equal(await reverseName(["::1"], dns({ "::1": [name] })), null);
});
