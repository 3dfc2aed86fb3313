/** The host's full name: configured, installed already, or, `config`'s way, found by reverse DNS. */

import { Resolver } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { Control } from "../../qmail/control/control.ts";
import { isHostName } from "../config.ts";
import { CommandError } from "../output.ts";
import type { InstallContext } from "./step.ts";

const DNS_TIMEOUT_MS = 3000;

/** The name for control/me. Throws CommandError when there is none. */
export async function hostName(context: InstallContext): Promise<string> {
  const { host } = context.config;
  if (host) return host;
  const installed = new Control(context.home).line("me");
  if (installed) return installed;
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 1 });
  const found = await reverseName(ownAddresses(), (address) => resolver.reverse(address));
  if (found) return found;
  throw new CommandError("cannot find out this host's name: DNS has none for its addresses", {
    hints: [
      "say it: qmailctl install --host mail.example.com",
      "or write it into the config file: host",
    ],
  });
}

/** The first full host name that `reverse` knows for one of `addresses`, in their order; lower case. */
export async function reverseName(
  addresses: readonly string[],
  reverse: (address: string) => Promise<string[]>,
): Promise<string | null> {
  // No name for an address is no trouble: perhaps for another.
  const names = await Promise.all(addresses.map((address) => reverse(address).catch(() => [])));
  // What the network says is taken for a name only when it is one.
  return (
    names
      .flat()
      .map((name) => name.toLowerCase())
      .find(isHostName) ?? null
  );
}

/** Addresses that others may know us by. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
    .map(({ address }) => address);
}
