/** Fetching an MTA-STS policy over HTTPS (RFC 8461 section 3.3). */

import { isIPv6, type LookupFunction } from "node:net";
import { Agent, request } from "undici";
import type { Dns } from "../dns/resolver.ts";
import { isPublic } from "../net/address.ts";
import { stsHost } from "./mta-sts.ts";
import { lookupHost } from "./mx.ts";

const TIMEOUT_MS = 10_000;
/** A policy is a few lines. */
const SIZE_MAX = 64 * 1024;
const HEADERS_MAX = 16 * 1024;

/** What tests need: a server of their own. */
export interface FetchHooks {
  readonly port?: number;
  readonly ca?: string;
  /** The web server may be on a network that is not public. */
  readonly privateAllowed?: boolean;
  readonly timeoutMs?: number;
}

/**
 * The text of the policy of `domain`. Rejects when the server has none, its certificate is not right, it is slow, or
 * the name leads to a network that is not public: the domain chooses the name, and is to reach nothing with it.
 */
export async function fetchStsPolicy(
  dns: Dns,
  domain: string,
  { port = 443, ca, privateAllowed = false, timeoutMs = TIMEOUT_MS }: FetchHooks = {},
): Promise<string> {
  const host = stsHost(domain);
  if (host === null) throw new Error(`"${domain}" is no name of a host`);
  const dispatcher = new Agent({
    connect: {
      lookup: lookupBy(dns, privateAllowed),
      timeout: timeoutMs,
      ...(ca === undefined ? {} : { ca }),
    },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: HEADERS_MAX,
    maxResponseSize: SIZE_MAX,
  });
  try {
    const url = `https://${host}:${port}/.well-known/mta-sts.txt`;
    // Redirects must not be followed; undici does not unless asked.
    const response = await request(url, { dispatcher, signal: AbortSignal.timeout(timeoutMs) });
    const type = String(response.headers["content-type"] ?? "").slice(0, 100);
    if (response.statusCode !== 200 || !/^text\/plain\s*(;|$)/i.test(type)) {
      throw new Error(`no MTA-STS policy: status ${response.statusCode}, type "${type}"`);
    }
    return await response.body.text();
  } finally {
    await dispatcher.destroy();
  }
}

/** Names are looked up where all others are, not where the system would. */
function lookupBy(dns: Dns, privateAllowed: boolean): LookupFunction {
  return (host, options, callback) => {
    void lookupHost(dns, host).then((found) => {
      if (!found.ok) {
        callback(new Error(`cannot find the host "${host}"`), "");
        return;
      }
      const all = found.exchangers
        .filter(({ ip }) => privateAllowed || isPublic(ip))
        .map(({ ip }) => ({ address: ip, family: isIPv6(ip) ? 6 : 4 }));
      const [first] = all;
      if (!first) callback(new Error(`the host "${host}" has no public address`), "");
      else if (options.all) callback(null, all);
      else callback(null, first.address, first.family);
    });
  };
}
