/** What the supervisor is to run: qmail-send, and the doors that the config opens. */

import type { Config } from "../config.ts";
import { pop3Arguments } from "../pop3-config.ts";
import { submissionArguments } from "../submission-config.ts";
import { certificateArguments } from "../tls-config.ts";
import { shellQuote } from "./templates.ts";

/** The services that are wanted, qmail-send first. */
export function serviceNames(config: Config): string[] {
  const doors = Object.entries(doorArguments(config));
  return ["qmail-send", ...doors.filter(([, args]) => args !== null).map(([name]) => name)];
}

/** The command line of every door; null for a service that is not wanted. */
export function doorArguments(config: Config): Record<string, string | null> {
  const { qmtp, qmqp, pop3 } = config;
  const doors = {
    "qmail-smtpd": smtpArguments(config),
    "qmail-submission": submissionServiceArguments(config),
    "qmail-qmtpd": qmtp && listenerArguments(qmtp),
    "qmail-qmqpd": qmqp && listenerArguments(qmqp),
    "qmail-pop3d": pop3 && pop3Arguments(pop3),
  };
  const lines = Object.entries(doors).map(([name, args]) => {
    return [name, args?.map(shellQuote).join(" ") ?? null] as const;
  });
  return Object.fromEntries(lines);
}

function smtpArguments({ smtp, tls }: Config): string[] | null {
  if (!smtp) return null;
  return [
    ...listenerArguments(smtp),
    ...["--per-client", String(smtp.perClient)],
    ...rulesArguments("smtp"),
    ...certificateArguments(tls),
  ];
}

function submissionServiceArguments({ submission, tls }: Config): string[] | null {
  if (!submission) return null;
  return [
    ...listenerArguments({ ...submission, relayFrom: [] }),
    ...submission.listenTls.flatMap((at) => ["--listen-tls", at]),
    ...["--per-client", String(submission.perClient)],
    ...rulesArguments("submission"),
    ...certificateArguments(tls),
    ...submissionArguments(submission),
  ];
}

/** `qmailctl cdb` compiles them; without the file everybody may come. */
function rulesArguments(service: string): string[] {
  return ["--rules", `control/tcp.${service}.cdb`];
}

function listenerArguments(service: NonNullable<Config["qmtp"]>): string[] {
  return [
    ...service.listen.flatMap((at) => ["--listen", at]),
    ...["--concurrency", String(service.concurrency)],
    ...(service.relayFrom.length > 0 ? ["--relay-from", service.relayFrom.join(",")] : []),
  ];
}
