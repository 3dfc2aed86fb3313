/** Problems of the queue and its deliveries. */

import { duration } from "../../time.ts";
import { type Finder, type Problem, percent } from "./finder.ts";

/** In the order of their weight. Each asks for enough evidence that a quiet log has none. */
export const MAIL_FINDERS: Readonly<Record<string, Finder>> = {
  alerts: ({ alerts }) => {
    const [worst] = [...alerts].sort(
      (a, b) => Number(b[0].startsWith("alert")) - Number(a[0].startsWith("alert")) || b[1] - a[1],
    );
    if (!worst) return null;
    return {
      title: "qmail-send complains",
      evidence: `${worst[1]} times "${worst[0]}"${alerts.size > 1 ? `, and ${alerts.size - 1} more kinds` : ""}`,
      next: `qmailctl log explain "${worst[0]}"`,
    };
  },
  queue: ({ queueTrouble }) =>
    queueTrouble < 3
      ? null
      : {
          title: "Messages cannot be queued",
          evidence: `${queueTrouble} deliveries failed at qmail-queue`,
          next: "df -h and df -i of the queue, then: qmailctl log report deferrals",
        },
  silly: ({ late, latest, tried }) =>
    late < 20 || late * 20 < tried
      ? null
      : {
          title: "Silly qmail: new mail is taken in, deliveries wait",
          evidence: `${late} of ${tried} messages waited 30 s or more (at most ${duration(Math.round(latest))}) while deliveries were free`,
          next: "qmailctl status, and slow down what injects the mail; a faster disk for the queue helps",
        },
  backlog: (lookout) => {
    const open = lookout.matcher.messages.size;
    return open < 500 || open * 10 < lookout.taken || open * 2 < lookout.most
      ? null
      : {
          title: "The queue grows",
          evidence: `${open} of ${lookout.taken} messages that came are still there at the end of the log`,
          next: "qmailctl queue list",
        };
  },
  concurrencylocal: ({ busy }) => atLimit("local", busy.local, busy.total, busy.localMax),
  concurrencyremote: ({ busy }) => atLimit("remote", busy.remote, busy.total, busy.remoteMax),
  dns: ({ dnsTrouble, dnsHosts, remoteTries }) =>
    dnsHosts.size < 10 || dnsTrouble * 20 < remoteTries
      ? null
      : {
          title: "DNS trouble",
          evidence: `${dnsTrouble} of ${remoteTries} remote attempts (${percent(dnsTrouble, remoteTries)}) found no host, for ${dnsHosts.size} domains`,
          next: "cat /etc/resolv.conf; dig MX example.com",
        },
  slowhost: ({ hosts, remoteSeconds }) => {
    const [name, worst] = [...hosts].reduce<
      [string, { tries: number; bad: number; seconds: number }]
    >((a, b) => (b[1].seconds > a[1].seconds ? b : a), ["", { tries: 0, bad: 0, seconds: 0 }]);
    return worst.tries < 20 || worst.seconds < worst.tries * 15 || worst.seconds * 3 < remoteSeconds
      ? null
      : {
          title: `One slow host: ${name}`,
          evidence: `${worst.tries} attempts took ${duration(Math.round(worst.seconds))}, ${percent(worst.seconds, remoteSeconds)} of all remote time; ${worst.bad} were deferred`,
          next: `qmailctl log report rhosts deferrals; nc -vz ${name} 25`,
        };
  },
  loops: ({ loops, loopRecipients }) =>
    loops === 0
      ? null
      : {
          title: "Mail loops",
          evidence: `${loops} deliveries failed as looping, for ${[...loopRecipients].slice(0, 3).join(", ")}`,
          next: 'qmailctl log explain "too many hops"; read the .qmail files of those addresses',
        },
  backscatter: ({ bouncesOut, taken }) =>
    bouncesOut < 50 || bouncesOut * 5 < taken
      ? null
      : {
          title: "Backscatter: bounces go to outside in numbers",
          evidence: `${bouncesOut} deliveries of bounces to other hosts, of ${taken} messages`,
          next: "refuse unknown recipients at the door; qmailctl log report failures",
        },
  doublebounces: ({ doubleBounces, triples }) =>
    doubleBounces < 20 && triples === 0
      ? null
      : {
          title: "Bounces bounce",
          evidence: `${doubleBounces} double bounces, ${triples} triple bounces`,
          next: "cat control/doublebounceto control/doublebouncehost; qmailctl log report failures",
        },
  sender: (lookout) => {
    const hours = Math.max(1, (lookout.last - lookout.first) / 3_600_000);
    for (const [name, { total, most, mostAt }] of lookout.senders) {
      // What is usual for it, without that hour; the busiest hour of a day may be three times the mean.
      const usual = (total - most) / Math.max(1, hours - 1);
      if (hours < 6 || most < 200 || most < usual * 10 || most * 5 < (lookout.taken / hours) * 2)
        continue;
      return {
        title: `A sender out of pattern: ${name}`,
        evidence: `${most} messages within an hour (${new Date(mostAt).toISOString().slice(0, 13)}:00Z), otherwise ${usual.toFixed(1)}`,
        next: "see whether the account is abused; qmailctl log report senders suids",
      };
    }
    return null;
  },
  restarts: ({ starts, first, last }) =>
    starts < 5 || starts * 3_600_000 < last - first
      ? null
      : {
          title: "qmail-send restarts again and again",
          evidence: `${starts} times in ${duration(Math.round((last - first) / 1000))}`,
          next: "qmailctl status; qmailctl log --lines 200",
        },
};

function atLimit(
  channel: string,
  seconds: number,
  total: number,
  limit: number,
): Omit<Problem, "name"> | null {
  if (seconds < 60 || seconds * 10 < total) return null;
  return {
    title: `Deliveries at their limit: ${channel}`,
    evidence: `all ${limit} ${channel} deliveries were in use for ${duration(Math.round(seconds))} (${percent(seconds, total)} of the time)`,
    next: `raise control/concurrency${channel}, or find what is slow: qmailctl log report rhosts`,
  };
}
