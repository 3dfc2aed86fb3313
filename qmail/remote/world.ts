/** What is known of the world's names and policies; outlives a change of the control files. */

import { join } from "node:path";
import { Control } from "../control/control.ts";
import type { RecordType } from "../dns/message.ts";
import { readNameServers } from "../dns/resolv-conf.ts";
import { type Dns, type Resolution, Resolver } from "../dns/resolver.ts";
import type { ConnectContext } from "./connecting.ts";
import { StsPolicies } from "./mta-sts.ts";
import type { Tcpto } from "./tcpto.ts";

/** Whom to ask, and who is told. */
export interface World {
  readonly dns: Dns;
  readonly sts?: NonNullable<ConnectContext["sts"]>;
  readonly tlsReports?: NonNullable<ConnectContext["tlsReports"]>;
  /** Absent: read from the file, as it is. */
  readonly tcpto?: Tcpto;
}

/** Where MTA-STS policies are kept, below the qmail home. */
const STS_FILE = "run/remote/mta-sts.json";

/** Names by the servers that the installation in `home` uses, and no policies. */
export function readWorld(home: string): World {
  return { dns: readDns(home) };
}

function readDns(home: string): Dns {
  return new Resolver({ servers: readNameServers(new Control(home)) });
}

/** Asks whoever is to be asked now. */
class CurrentDns implements Dns {
  current: Dns;

  constructor(first: Dns) {
    this.current = first;
  }

  lookup<T extends RecordType>(name: string, type: T): Promise<Resolution<T>> {
    return this.current.lookup(name, type);
  }
}

export interface WorldWithPolicies extends World {
  readonly sts: StsPolicies;
  /**
   * What is known of names counts no more, nor who could not be asked; policies that are known hold on, in the one
   * place where they are kept. Throws, and leaves all as it was, when it cannot be read who is to be asked.
   */
  renew(): void;
}

/** As `readWorld`, with what domains want by MTA-STS; `keep`: what is learnt of it is written down for the next. */
export function readWorldWithPolicies(
  home: string,
  { keep }: { readonly keep: boolean },
): WorldWithPolicies {
  const dns = new CurrentDns(readDns(home));
  const fetch = async (domain: string) => {
    // Loaded when the first domain wants it.
    const { fetchStsPolicy } = await import("./mta-sts-fetch.ts");
    return fetchStsPolicy(dns, domain);
  };
  const sts = new StsPolicies({ dns, fetch, now: Date.now, path: join(home, STS_FILE), keep });
  return {
    dns,
    sts,
    renew() {
      dns.current = readDns(home);
      sts.forgetTrouble();
    },
  };
}
