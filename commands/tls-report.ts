/**
 * `qmailctl tls-report`: how TLS with other domains went on one day; with --json as the reports that RFC 8460 has them
 * sent, one for each domain. The counts of the last minute may still be on their way to the disk.
 */

import { join } from "node:path";
import { Control } from "../qmail/control/control.ts";
import {
  dayOf,
  type PolicyCount,
  readTlsDay,
  TLS_REPORTS,
  tlsDays,
} from "../qmail/remote/tls-reports.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { checkInstalled } from "./supervisor.ts";

export interface TlsReportOptions {
  readonly home: string;
  /** As 2026-11-24; the last day of which something is known when absent. */
  readonly day?: string;
  /** Only about this domain. */
  readonly domain?: string;
  readonly output: Output;
}

/** Prints what was counted. */
export function tlsReport({ home, day, domain, output }: TlsReportOptions): void {
  checkInstalled(home);
  if (day !== undefined && !isDay(day)) {
    throw new UsageError(`there is no day "${day}"`, [`write it as ${dayOf(Date.now())}`]);
  }
  const found = readDay(join(home, TLS_REPORTS), day);
  const wanted = domain?.toLowerCase();
  const policies = found.policies.filter(
    ({ policy }) => wanted === undefined || policy["policy-domain"] === wanted,
  );
  const me = new Control(home).line("me") ?? "localhost";
  const reports = byDomain(policies).map((list) => rfc8460(list, { day: found.day, me }));
  output.data(wanted === undefined ? reports : (reports[0] ?? null));
  output.line(`TLS with other domains on ${found.day} (UTC)`);
  output.line();
  output.table(
    [
      { title: "domain" },
      { title: "policy" },
      { title: "good", align: "right" },
      { title: "failed", align: "right" },
      { title: "why" },
    ],
    policies.flatMap(rows),
  );
}

function isDay(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
}

function readDay(
  directory: string,
  day: string | undefined,
): { day: string; policies: PolicyCount[] } {
  try {
    const days = tlsDays(directory);
    const wanted = day ?? days.at(-1);
    const policies = wanted === undefined ? null : readTlsDay(directory, wanted);
    if (wanted !== undefined && policies) return { day: wanted, policies };
    const known =
      days.length > 0 ? `something is known of ${days.join(", ")}` : "no mail went by MX yet";
    throw new CommandError(`nothing is known of TLS${day ? ` on ${day}` : ""}`, { hints: [known] });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    throw new CommandError(`cannot read "${directory}": permission denied`, {
      hints: ["run it as root"],
    });
  }
}

/** The policies of each domain together. */
function byDomain(policies: readonly PolicyCount[]): PolicyCount[][] {
  const domains = Map.groupBy(policies, ({ policy }) => policy["policy-domain"]);
  return [...domains.values()];
}

/** The report to one domain (RFC 8460 section 4.4). */
function rfc8460(
  policies: readonly PolicyCount[],
  { day, me }: { readonly day: string; readonly me: string },
): object {
  const domain = policies[0]?.policy["policy-domain"] ?? "";
  return {
    "organization-name": me,
    "date-range": {
      "start-datetime": `${day}T00:00:00Z`,
      "end-datetime": `${day}T23:59:59Z`,
    },
    "contact-info": `postmaster@${me}`,
    "report-id": `${day}_${domain}@${me}`,
    policies,
  };
}

const POLICY_NAMES = { tlsa: "DANE", sts: "MTA-STS", "no-policy-found": "none" } as const;

/** A row for the policy, with the first reason, and one for each further reason. */
function rows({ policy, summary, "failure-details": details }: PolicyCount): string[][] {
  const reasons = details.map((detail) => {
    const where = `${detail["receiving-mx-hostname"]} [${detail["receiving-ip"]}]`;
    const count = detail["failed-session-count"];
    return `${count} ${detail["result-type"]}, ${where}: ${detail["failure-reason-code"]}`;
  });
  const first = [
    policy["policy-domain"],
    POLICY_NAMES[policy["policy-type"]],
    String(summary["total-successful-session-count"]),
    String(summary["total-failure-session-count"]),
    reasons[0] ?? "",
  ];
  return [first, ...reasons.slice(1).map((reason) => ["", "", "", "", reason])];
}
