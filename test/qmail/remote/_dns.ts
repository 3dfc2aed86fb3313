/** Names as a test wants them. */

import type { RecordType } from "../../../qmail/dns/message.ts";
import type { Dns, Resolution } from "../../../qmail/dns/resolver.ts";

/** Records by "TYPE name"; "trouble" for a question that nobody answers. */
export type Zone = Readonly<Record<string, readonly unknown[] | "trouble">>;

/** A resolver that knows `zone` and nothing else; everything is `secure` or nothing is. */
export function fakeDns(zone: Zone, secure = false): Dns {
  return {
    lookup<T extends RecordType>(name: string, type: T): Promise<Resolution<T>> {
      const records = zone[`${type} ${name.toLowerCase()}`];
      if (records === "trouble") return Promise.resolve({ status: "trouble", why: "SERVFAIL" });
      if (records) return Promise.resolve({ status: "found", records: records as never, secure });
      const exists = Object.keys(zone).some((key) => key.endsWith(` ${name}`));
      return Promise.resolve({ status: "none", exists, secure });
    },
  };
}

export function mx(preference: number, exchange: string) {
  return { preference, exchange };
}
