/** How things stand, as qmail-send tells it to who asks. */

import type { ChannelStatus, Status } from "./action-protocol.ts";
import type { Deliveries } from "./delivery.ts";
import type { Holds } from "./holds.ts";
import type { Channel } from "./log.ts";
import type { Schedule } from "./schedule.ts";
import type { StraightQueue } from "./straight.ts";

/** So many deliveries, and domains that are held, are named. */
const NAMES_MAX = 1000;

export interface StatusParts {
  readonly deliveries: Pick<Deliveries, "use" | "list">;
  readonly holds: Readonly<Record<Channel, Holds<unknown>>>;
  readonly schedule: Schedule;
  readonly straight: StraightQueue;
  /** When this qmail-send began, in milliseconds since 1970. */
  readonly since: number;
  /** What an earlier run left is in the schedule. */
  readonly read: boolean;
}

/** The state of everything at this moment; costs as much as there are held domains, deliveries and names to tell. */
export function statusOf({
  deliveries,
  holds,
  schedule,
  straight,
  since,
  read,
}: StatusParts): Status {
  const { done, fail, channel, held } = schedule;
  const status = (name: Channel): ChannelStatus => ({
    ...deliveries.use(name),
    waiting: channel[name].size,
    waitingForDomain: holds[name].parkedCount + holds[name].straightCount,
    held: held[name].size,
    heldDomains: {
      count: holds[name].heldCount,
      names: holds[name].heldNames(NAMES_MAX),
    },
  });
  return {
    pid: process.pid,
    since,
    read,
    channels: { local: status("local"), remote: status("remote") },
    straight: straight.size,
    ending: done.size + fail.size,
    deliveries: deliveries.list(NAMES_MAX),
  };
}
