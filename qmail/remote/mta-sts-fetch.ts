/** Fetching an MTA-STS policy over HTTPS (RFC 8461 section 3.3). */

import type { LookupFunction } from "node:net";
import { Agent, request } from "undici";
import type { Dns } from "../dns/resolver.ts";
import { lookupHost } from "./mx.ts";

const TIMEOUT_MS = 10_000;
/** A policy is a few lines. */
const SIZE_MAX = 64 * 1024;

/** The text of the policy of `domain`. Rejects when the server has none, its certificate is not right, or it is slow. */
export async function fetchStsPolicy(
  dns: Dns,
  domain: string,
  { port = 443, ca }: { readonly port?: number; readonly ca?: string } = {},
): Promise<string> {
  const dispatcher = new Agent({
    connect: {
      lookup: lookupBy(dns),
      timeout: TIMEOUT_MS,
      ...(ca === undefined ? {} : { ca }),
    },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxResponseSize: SIZE_MAX,
  });
  try {
    const url = `https://mta-sts.${domain}:${port}/.well-known/mta-sts.txt`;
    // Redirects must not be followed; undici does not unless asked.
    const response = await request(url, { dispatcher, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const type = String(response.headers["content-type"] ?? "");
    if (response.statusCode !== 200 || !/^text\/plain\s*(;|$)/i.test(type)) {
      throw new Error(`no MTA-STS policy: status ${response.statusCode}, type "${type}"`);
    }
    return await response.body.text();
  } finally {
    await dispatcher.destroy();
  }
}

/** Names are looked up where all others are, not where the system would. */
function lookupBy(dns: Dns): LookupFunction {
  return (host, options, callback) => {
    void lookupHost(dns, host).then((found) => {
      if (!found.ok) {
        callback(new Error(`cannot find the host "${host}"`), "");
        return;
      }
      const all = found.exchangers.map(({ ip }) => ({
        address: ip,
        family: ip.includes(":") ? 6 : 4,
      }));
      const [first] = all;
      if (options.all) callback(null, all);
      else callback(null, first?.address ?? "", first?.family);
    });
  };
}
