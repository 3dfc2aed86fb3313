/** A snapshot as the document that scripts read. */

import type { Snapshot } from "./snapshot.ts";

/** The document; addresses as text, times as ISO 8601, durations in seconds, rates per second. */
export function toJson(snapshot: Snapshot) {
  const { time, home, me, seen, rates, queue, use, services, send } = snapshot;
  return {
    time: iso(time),
    home,
    me: text(me),
    since: iso(seen ?? time - 300_000),
    rates,
    queue: queue && { messages: queue.todo + queue.info, ...queue },
    busy: send ? mapChannels(send) : use,
    deliveries: snapshot.underWay.map(({ id, channel, sender, recipient, since, age }) => ({
      id,
      channel,
      sender: sender === null ? null : text(sender),
      recipient: text(recipient),
      since: iso(since),
      seconds: age / 1000,
    })),
    destinations: snapshot.destinations.map(({ name, took, longest, mean, error, ...counts }) => ({
      name: text(name),
      ...counts,
      meanSeconds: mean === null ? null : mean / 1000,
      longestSeconds: longest / 1000,
      lastError: text(error),
    })),
    errors: snapshot.errors.map(({ kind, count, last, example, whom, id }) => ({
      kind,
      count,
      last: iso(last),
      text: text(example),
      whom: text(whom),
      id: id === "" ? null : id,
    })),
    doors: snapshot.doors,
    services,
  };
}

function mapChannels({ channels }: NonNullable<Snapshot["send"]>) {
  const { local, remote } = channels;
  const { heldDomains } = remote;
  return {
    local,
    remote: { ...remote, heldDomains: { ...heldDomains, names: heldDomains.names.map(text) } },
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function text(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}
