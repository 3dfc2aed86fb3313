/** The command line of the QMTP and QMQP services. Pure. */

import { BlockList, isIPv6 } from "node:net";
import { parseArgs } from "node:util";
import { type ListenAddress, parseListen } from "../net/address.ts";

const CONCURRENCY = 1000;

/** What stands behind the program in its usage. */
export const USAGE = "[--listen HOST:PORT ... [--concurrency N] [--relay-from ADDRESS[/BITS],...]]";

/** The command line makes no sense. */
export class UsageError extends Error {}

export interface Options {
  readonly listen: readonly ListenAddress[];
  readonly concurrency: number;
  readonly relayFrom: BlockList;
}

/** The options in `args`. Throws UsageError, or what parseArgs throws. */
export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", multiple: true, default: [] },
      concurrency: { type: "string", default: String(CONCURRENCY) },
      "relay-from": { type: "string", default: "" },
    },
  });
  const listen = values.listen.map((text) => {
    const address = parseListen(text);
    if (!address) throw new UsageError(`"${text}" is no address and port`);
    return address;
  });
  if (listen.length === 0) throw new UsageError("--listen is missing");
  const concurrency = Number(values.concurrency);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError(`"${values.concurrency}" is no number of connections`);
  }
  return { listen, concurrency, relayFrom: parseNetworks(values["relay-from"]) };
}

function parseNetworks(text: string): BlockList {
  const networks = new BlockList();
  for (const entry of text.split(",").filter(Boolean)) {
    const [address = "", bits] = entry.split("/");
    const type = isIPv6(address) ? "ipv6" : "ipv4";
    try {
      if (bits === undefined) networks.addAddress(address, type);
      else networks.addSubnet(address, Number(bits), type);
    } catch {
      throw new UsageError(`"${entry}" is no address or network`);
    }
  }
  return networks;
}
