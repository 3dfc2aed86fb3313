/** What the supervisor is to run: qmail-send, and the doors that the config opens. */

import type { Config } from "../config.ts";
import { pop3Arguments } from "../pop3-config.ts";
import { shellQuote } from "./templates.ts";

/** The services that are wanted, qmail-send first. */
export function serviceNames(config: Config): string[] {
  const doors = Object.entries(doorArguments(config));
  return ["qmail-send", ...doors.filter(([, args]) => args !== null).map(([name]) => name)];
}

/** The command line of every door; null for a service that is not wanted. */
export function doorArguments({ smtp, qmtp, qmqp, pop3 }: Config): Record<string, string | null> {
  return {
    "qmail-smtpd": listenerArguments(smtp),
    "qmail-qmtpd": listenerArguments(qmtp),
    "qmail-qmqpd": listenerArguments(qmqp),
    "qmail-pop3d": pop3 && pop3Arguments(pop3).map(shellQuote).join(" "),
  };
}

function listenerArguments(service: Config["smtp"]): string | null {
  if (!service) return null;
  const args = [
    ...service.listen.flatMap((at) => ["--listen", at]),
    "--concurrency",
    String(service.concurrency),
    ...(service.relayFrom.length > 0 ? ["--relay-from", service.relayFrom.join(",")] : []),
  ];
  return args.map(shellQuote).join(" ");
}
