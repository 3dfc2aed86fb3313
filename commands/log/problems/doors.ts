/** Problems that the doors saw. */

import { NO_RCPTHOSTS } from "../../../qmail/smtpd/log.ts";
import { type DoorCounts, type DoorTable, OTHERS } from "../analysis/doors.ts";
import type { Finder } from "./finder.ts";

/** In the order of their weight. Each asks for enough evidence that a quiet log has none. */
export const DOOR_FINDERS: Readonly<Record<string, Finder>> = {
  rcpthosts: ({ doorTroubles }) => {
    const times = doorTroubles.get(`smtpd: ${NO_RCPTHOSTS}`);
    return times === undefined
      ? null
      : {
          title: "No mail is taken from outside: control/rcpthosts is missing",
          evidence: `said ${times} times`,
          next: "write the domains that you take mail for into control/rcpthosts, one a line; qmailctl reload",
        };
  },
  doors: ({ doorTroubles }) => {
    const others = [...doorTroubles].filter(([text]) => !text.endsWith(NO_RCPTHOSTS));
    const [worst] = others.sort((a, b) => b[1] - a[1]);
    return !worst
      ? null
      : {
          title: "A door complains",
          evidence: `${worst[1]} times "${worst[0]}"${others.length > 1 ? `, and ${others.length - 1} more kinds` : ""}`,
          next: "qmailctl log show --grep 'warning|fatal|alert' --lines 50",
        };
  },
  guesses: ({ doors }) => {
    const [name, worst] = most(doors.clients, ({ badLogins }) => badLogins);
    return !worst || worst.badLogins < 50
      ? null
      : {
          title: "Somebody guesses passwords",
          evidence: `${worst.badLogins} wrong passwords from ${name}, ${worst.logins} right ones`,
          next: `qmailctl log show --client ${name} --lines 50; then deny it: ${name}:deny in control/tcp.smtp`,
        };
  },
  account: ({ doors }) => {
    const [name, worst] = most(doors.accounts, ({ badLogins }) => badLogins);
    return !worst || worst.badLogins < 100
      ? null
      : {
          title: `An account is under attack: ${name}`,
          evidence: `${worst.badLogins} wrong passwords, ${worst.logins} right ones`,
          next: `has its owner an old password in some program? qmailctl log show --user ${name} --lines 50`,
        };
  },
  refused: ({ doors }) => {
    const [name, worst] = most(doors.clients, ({ refused }) => refused);
    return !worst || worst.refused < 100 || worst.refused < worst.accepted * 10
      ? null
      : {
          title: `One client is refused again and again: ${name}`,
          evidence: `${worst.refused} refusals, ${worst.accepted} messages taken`,
          next: `qmailctl log show --client ${name} --lines 50; then deny it: ${name}:deny in control/tcp.smtp`,
        };
  },
};

/** The name with the largest `value`; the others together are none. */
function most(
  table: DoorTable,
  value: (counts: DoorCounts) => number,
): [string, DoorCounts | undefined] {
  let best: [string, DoorCounts | undefined] = ["", undefined];
  for (const entry of table.entries()) {
    if (entry[0] === OTHERS) continue;
    if (best[1] === undefined || value(entry[1]) > value(best[1])) best = entry;
  }
  return best;
}
