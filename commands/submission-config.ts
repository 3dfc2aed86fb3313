/** The part of the config about submission, and the command line that it becomes. */

import { z } from "zod";
import { A_LISTEN, count, flag, listen, matching, oneLine, oneOrMore } from "./config-checks.ts";

/** Mail of users, who log in first (RFC 6409). Needs `tls`. */
export interface SubmissionService {
  /** False: no submission service. Default: true where `services.submission` is. */
  enabled?: boolean;
  /** Where to listen, with TLS by STARTTLS. Default: `":587"`, in a sandbox `"127.0.0.1:2587"`. */
  listen?: string | string[];
  /** Where to listen with TLS from the first byte on. Default: `":465"`, in a sandbox `"127.0.0.1:2465"`. */
  listenTls?: string | string[];
  /** Connections at once. Default: 1000. */
  concurrency?: number;
  /** Connections of one client at once. Default: 100. */
  perClient?: number;
  /**
   * Who may log in: `"logins"`, the site's logins (`qmailctl user`) and the system's users; or a checkpassword
   * program with its arguments. Default: `"logins"`.
   */
  auth?: "logins" | string[];
  /**
   * Mechanisms besides PLAIN and LOGIN. Clients take the strongest that is offered, so name one only where all
   * logins have what it needs. Default: none.
   */
  mechanisms?: ("CRAM-MD5" | "SCRAM-SHA-256")[];
  /** Passwords may cross the network for all to read. Default: false. */
  authWithoutTls?: boolean;
  /**
   * Whose addresses users may send from: `"any"`; or their own (`joe`, `joe-anything` at `locals`) and what is granted
   * here by login: `{ joe: ["sales@example.com", "@example.org"] }`; control/submissionsenders. Default: their own.
   */
  senders?: "any" | Record<string, string[]>;
}

/** A checked service: nothing left out. */
export interface Submission {
  readonly listen: readonly string[];
  readonly listenTls: readonly string[];
  readonly concurrency: number;
  readonly perClient: number;
  /** Null: the site's logins. */
  readonly command: readonly string[] | null;
  readonly mechanisms: readonly string[];
  readonly authWithoutTls: boolean;
  readonly anySender: boolean;
}

const A_COUNT = "a number of connections, 1 or more";
const AN_AUTH = '"logins", or a checkpassword program with its arguments as a list';
const A_SENDER = 'an address, "@example.com" or "*"';
const SENDERS = `"any", or logins with their addresses, each ${A_SENDER}`;
const MECHANISMS = '"CRAM-MD5" and "SCRAM-SHA-256"';

/** The check of `services.submission`. */
export const submissionSchema = z.strictObject(
  {
    enabled: flag.optional(),
    listen: oneOrMore(listen, A_LISTEN).optional(),
    listenTls: oneOrMore(listen, A_LISTEN).optional(),
    concurrency: count(A_COUNT).optional(),
    perClient: count(A_COUNT).optional(),
    auth: z
      .union([z.literal("logins"), z.array(oneLine(AN_AUTH)).min(1)], { error: AN_AUTH })
      .optional(),
    mechanisms: z
      .array(z.enum(["CRAM-MD5", "SCRAM-SHA-256"], { error: MECHANISMS }), {
        error: `a list of ${MECHANISMS}`,
      })
      .optional(),
    authWithoutTls: flag.optional(),
    senders: z
      .union(
        [
          z.literal("any"),
          z.record(
            matching(/^[^:\s]+$/, "a login without colon and space"),
            z.array(matching(/^(\*|[^\s:]*@[^\s:]+)$/, A_SENDER)),
          ),
        ],
        { error: SENDERS },
      )
      .optional(),
  },
  {
    error:
      "the fields enabled, listen, listenTls, concurrency, perClient, auth, mechanisms, authWithoutTls, senders",
  },
);

/** The service with everything filled in; null when it is not wanted. */
export function completeSubmission(
  submission: SubmissionService | undefined,
  { sandbox, tls }: { readonly sandbox: boolean; readonly tls: boolean },
): Submission | null {
  if (!submission || submission.enabled === false) return null;
  const { auth = "logins", listen, listenTls } = submission;
  return {
    listen: [listen ?? (sandbox ? "127.0.0.1:2587" : ":587")].flat(),
    listenTls: tls ? [listenTls ?? (sandbox ? "127.0.0.1:2465" : ":465")].flat() : [],
    concurrency: submission.concurrency ?? 1000,
    perClient: submission.perClient ?? 100,
    command: auth === "logins" ? null : auth,
    mechanisms: submission.mechanisms ?? [],
    authWithoutTls: submission.authWithoutTls ?? false,
    anySender: submission.senders === "any",
  };
}

/** control/submissionsenders, where the config grants addresses. */
export function submissionControls(submission: SubmissionService = {}): Record<string, string[]> {
  const { senders } = submission;
  if (typeof senders !== "object") return {};
  const lines = Object.entries(senders).flatMap(([login, addresses]) =>
    addresses.map((address) => `${login}:${address}`),
  );
  return { submissionsenders: lines };
}

/** The arguments of the service's program that make it one for submission. */
export function submissionArguments(submission: Submission): string[] {
  const { anySender, authWithoutTls, mechanisms, command } = submission;
  return [
    "--submission",
    ...(anySender ? ["--any-sender"] : []),
    ...(authWithoutTls ? ["--auth-without-tls"] : []),
    ...(mechanisms.includes("CRAM-MD5") ? ["--cram"] : []),
    ...(mechanisms.includes("SCRAM-SHA-256") ? ["--scram"] : []),
    ...(command ? ["--", ...command] : ["--logins"]),
  ];
}
