/** What is known of the world's names and policies; outlives a change of the control files. */

import { join } from "node:path";
import { Control } from "../control/control.ts";
import { readNameServers } from "../dns/resolv-conf.ts";
import { type Dns, Resolver } from "../dns/resolver.ts";
import type { ConnectContext } from "./connecting.ts";
import { StsPolicies } from "./mta-sts.ts";

/** Whom to ask, and who is told. */
export interface World {
  readonly dns: Dns;
  readonly sts?: NonNullable<ConnectContext["sts"]>;
  readonly tlsReports?: NonNullable<ConnectContext["tlsReports"]>;
}

/** Where MTA-STS policies are kept, below the qmail home. */
const STS_FILE = "run/remote/mta-sts.json";

/** Names by the servers that the installation in `home` uses, and no policies. */
export function readWorld(home: string): World {
  return { dns: new Resolver({ servers: readNameServers(new Control(home)) }) };
}

/** As `readWorld`, with what domains want by MTA-STS; `keep`: what is learnt of it is written down for the next. */
export function readWorldWithPolicies(
  home: string,
  { keep }: { readonly keep: boolean },
): World & { readonly sts: StsPolicies } {
  const { dns } = readWorld(home);
  const fetch = async (domain: string) => {
    // Loaded when the first domain wants it.
    const { fetchStsPolicy } = await import("./mta-sts-fetch.ts");
    return fetchStsPolicy(dns, domain);
  };
  const path = join(home, STS_FILE);
  return { dns, sts: new StsPolicies({ dns, fetch, now: Date.now, path, keep }) };
}
