/**
 * The config file: one typed value that describes one mail server. What this module exports as types is
 * the package's public face: `import { defineConfig } from "qmailctl"`.
 */

import { z } from "zod";
import { QMAIL_GROUPS } from "../qmail/ids.ts";
import { compileAssign } from "../qmail/users/assign.ts";
import { BOOT_SCRIPTS } from "./boot-scripts.ts";
import {
  A_LISTEN,
  A_NETWORK,
  A_RULE,
  count,
  flag,
  list,
  listen,
  matching,
  network,
  oneLine,
  oneOrMore,
  rule,
} from "./config-checks.ts";
import { type Limits, limitsSchema } from "./limits-config.ts";
import { A_POP3_TLS, canLogIn, type Pop3, type Pop3Service, pop3Schema } from "./pop3-config.ts";
import { type Remote, remoteSchema } from "./remote-config.ts";
import { type Submission, type SubmissionService, submissionSchema } from "./submission-config.ts";
import { A_CERTIFICATE, type Certificate, certificateSchema } from "./tls-config.ts";

/** What a delivery does with a message: a line of a .qmail file (dot-qmail(5)). */
export type Instruction = string;

export interface SmtpService {
  /** False: no SMTP service. Default: true. */
  enabled?: boolean;
  /**
   * Where to listen: `"127.0.0.1:2525"`, `"[::1]:25"`, `":25"` for all addresses; or several.
   * Default: `":25"`, in a sandbox `"127.0.0.1:2525"`.
   */
  listen?: string | string[];
  /** Connections at once. Default: 1000. */
  concurrency?: number;
  /** Connections of one client at once, but for those in `relayFrom`. Default: 100. */
  perClient?: number;
  /**
   * Addresses and networks that may send to any domain, as `"192.168.1.0/24"` or `"::1"`.
   * Default: none. Everybody else may send to `rcpthosts` only.
   */
  relayFrom?: string[];
  /**
   * Rules about clients as tcprules has them, by address and network, the most exact counts; control/tcp.smtp:
   * `"192.0.2.9:deny"`, `'10.:allow,RELAYCLIENT="",DATABYTES="0"'`. The service looks no names up, so rules by name
   * do not count. Default: none; what control/tcp.smtp.cdb says counts all the same (`qmailctl cdb`).
   */
  rules?: string[];
}

/** A protocol of qmail's own (QMTP, QMQP), for hosts that know each other. */
export interface QmailService {
  /** Where to listen, as for SMTP. Default: port 209 for QMTP, 628 for QMQP; in a sandbox 127.0.0.1 and that port plus 2000. */
  listen?: string | string[];
  /** Connections at once. Default: 1000. */
  concurrency?: number;
  /** Addresses and networks that may send to any domain. QMTP takes mail for `rcpthosts` from all others; QMQP takes none. */
  relayFrom?: string[];
}

/** One mail server. Every field may be left out. */
export interface ConfigInput {
  /** The qmail home, relative to this file. Default: `"/var/qmail"`. */
  home?: string;
  /** True: everything under `home` and as the user who installs; no root, no system users. Default: false. */
  sandbox?: boolean;
  /** The host's full name; control/me. Default: what is installed already, else found by reverse DNS. */
  host?: string;
  /** Domains whose mail is delivered on this machine; control/locals. Default: the host. */
  locals?: string[];
  /** Domains that SMTP accepts mail for; `.example.com` means everything below. Default: `locals`. */
  rcpthosts?: string[];
  /**
   * Addresses that are no system users: name to delivery instructions, in ~alias/.qmail-NAME. `"steve"` or
   * `"&steve@example.com"` forwards, `"./Maildir/"` and `"./Mailbox"` store below ~alias, `"|program"` runs, `""`
   * is the default delivery. postmaster, mailer-daemon and root are made in any case.
   */
  aliases?: Record<string, Instruction | Instruction[]>;
  /**
   * Whose addresses are that are neither system users' nor aliases: lines of users/assign (qmail-users(5)) without
   * the dot that ends it, like `"=sales:joe:507:100:/home/joe:-:sales:"`; users/cdb is made of them. Default: the
   * file is left alone.
   */
  assign?: string[];
  /**
   * What happens to mail of users without a .qmail file: a boot script (`"home"`, `"proc"`, `"binm1"`, `"binm2"`, `"binm3"`,
   * each also with `"+df"`) or a delivery instruction like `"./Maildir/"`. Default: `"home"`, which is `./Mailbox`.
   */
  defaultDelivery?: string;
  /** Static routes; control/smtproutes: domain to `"relay"`, `"relay:port"`, or `""` for "by MX". `".example.com"`, `""` match more. */
  routes?: Record<string, string>;
  /** Mail to other hosts: TLS, AUTH, limits, addresses. */
  remote?: Remote;
  /** For all services; of several the one is used whose name the client asks for. Default: no TLS. */
  tls?: Certificate | Certificate[];
  services?: {
    /** Mail from other hosts. */
    smtp?: SmtpService;
    /** Mail of users. Default: no such service. */
    submission?: SubmissionService;
    /** Mail from hosts that speak QMTP, as qmail's with a line for us in control/qmtproutes. Default: no such service. */
    qmtp?: QmailService;
    /** Mail from null clients, which must be in its `relayFrom`. Default: no such service. */
    qmqp?: QmailService & { relayFrom: string[] };
    /** Reading mail. Default: no such service. */
    pop3?: Pop3Service;
  };
  /** Bounces of mail that cannot be delivered. */
  bounces?: {
    /**
     * `"qsbmf"`, as qmail writes them; `"dsn"`: delivery status notifications for programs, multipart/report of RFC 3464;
     * control/bounceformat. Default: `"qsbmf"`.
     */
    format?: "qsbmf" | "dsn";
    /** A larger message goes back without its body, in the format `"dsn"`; control/bouncemaxbytes. Default: 50000. */
    maxBytes?: number;
  };
  /** Seconds that a POP3 login lets its address send to any domain; control/popbeforesmtp. Default: 0, not at all. */
  popBeforeSmtp?: number;
  /**
   * A null client (mini-qmail): no queue and no daemons, all mail goes by QMQP to the first of these hubs that can be
   * reached, as `"192.0.2.1"`, `"hub.example.com"` or `"[2001:db8::1]:628"`; control/qmqpservers.
   */
  client?: { hub: string | string[] };
  /** What one client of the services may ask. */
  limits?: Limits;
  /** A group of the system whose members may read the logs, as `"adm"`. Default: root alone may. Not in a sandbox. */
  logGroup?: string;
  /** Deliveries at once. */
  concurrency?: {
    /** control/concurrencylocal. Default: 10. */
    local?: number;
    /** control/concurrencyremote. Default: 20. */
    remote?: number;
  };
  /** Any control file by its name (qmail-control(5)): one line, or a list of lines. */
  control?: Record<string, string | number | string[]>;
}

/** Types the config file for the editor; returns `config` as it is (cli/define-config.js). */
export declare function defineConfig(config: ConfigInput): ConfigInput;

export interface QmailListener {
  readonly listen: readonly string[];
  readonly concurrency: number;
  readonly relayFrom: readonly string[];
}

export interface SmtpListener extends QmailListener {
  readonly perClient: number;
  readonly rules: readonly string[];
}

/** A checked config: nothing left out but the host, which may have to be found out. */
export interface Config {
  /** What was said, before anything was filled in. */
  readonly input: ConfigInput;
  /** Absolute. */
  readonly home: string;
  readonly sandbox: boolean;
  readonly host: string | null;
  readonly locals: readonly string[] | null;
  readonly rcpthosts: readonly string[] | null;
  readonly aliases: Readonly<Record<string, readonly Instruction[]>>;
  /** Lines of users/assign; null: not ours. */
  readonly assign: readonly string[] | null;
  readonly defaultDelivery: string;
  readonly routes: Readonly<Record<string, string>>;
  /** Paths are absolute. */
  readonly tls: readonly Readonly<Certificate>[];
  readonly smtp: SmtpListener | null;
  readonly submission: Submission | null;
  readonly qmtp: QmailListener | null;
  readonly qmqp: QmailListener | null;
  readonly pop3: Pop3 | null;
  /** The hubs of a null client; null for a whole mail server. */
  readonly hubs: readonly string[] | null;
  readonly srsDomain: string | null;
  /** Null: none. */
  readonly logGroup: string | null;
  readonly control: Readonly<Record<string, readonly string[]>>;
}

const DOMAIN = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;
const ALIAS = /^[^\s/@\0]+$/;
const CONTROL_NAME = /^[a-z][a-z0-9._-]*$/i;

const A_HOST = 'a full host name with a dot, like "mail.example.com"';
const A_DOMAIN = 'a domain, like "example.com"';
const AN_INSTRUCTION = 'one line of a .qmail file, like "steve" or "./Maildir/", or a list of them';
const A_GROUP = 'the name of a group of administrators, like "adm"';
const BYTES = "a number of bytes, 0 or more";
const SECONDS = "seconds, 0 or more";
const AN_ASSIGNMENT =
  'a line of users/assign, like "=sales:joe:507:100:/home/joe:-:sales:" or "+joe-:joe:507:100:/home/joe:-::"';
const A_LINE = "one line of text, a number, or a list of lines";

/** True for a full host name, as control/me holds it. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && text.includes(".") && DOMAIN.test(text);
}

const host = matching(DOMAIN, A_HOST).refine(isHostName, { error: A_HOST });
const domain = matching(DOMAIN, A_DOMAIN);
const wildcard = matching(
  new RegExp(`^\\.?${DOMAIN.source.slice(1)}`, "i"),
  `${A_DOMAIN} or ".example.com"`,
);
const HUB = /^(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]{1,5})?$/i;
const A_HUB = 'an address or name, like "192.0.2.1" or "hub.example.com:628"';

const qmailService = {
  listen: oneOrMore(listen, A_LISTEN).optional(),
  concurrency: count("a number of connections, 1 or more").optional(),
};

/** The check of a config file, field by field; each error message says what is allowed there. */
export const configSchema = z
  .strictObject(
    {
      home: oneLine("a path").min(1, { error: "a path" }).optional(),
      sandbox: flag.optional(),
      host: host.optional(),
      locals: list(domain, A_DOMAIN).optional(),
      rcpthosts: list(wildcard, `${A_DOMAIN} or ".example.com"`).optional(),
      aliases: z
        .record(
          matching(ALIAS, "a name without space, slash and @"),
          oneOrMore(oneLine(AN_INSTRUCTION), AN_INSTRUCTION),
          { error: "names with their delivery instructions" },
        )
        .optional(),
      assign: list(
        oneLine(AN_ASSIGNMENT).refine(isAssignment, { error: AN_ASSIGNMENT }),
        AN_ASSIGNMENT,
      ).optional(),
      defaultDelivery: oneLine("a boot script or a delivery instruction")
        .refine((text) => BOOT_SCRIPTS.includes(text) || /^[./|&]/.test(text), {
          error: `one of ${BOOT_SCRIPTS.join(", ")}; or a delivery instruction, like "./Maildir/"`,
        })
        .optional(),
      routes: z
        .record(z.string(), oneLine('a relay, like "relay.example.com:587", or ""'), {
          error: "domains with their relays",
        })
        .optional(),
      remote: remoteSchema.optional(),
      tls: oneOrMore(certificateSchema, A_CERTIFICATE).optional(),
      services: z
        .strictObject(
          {
            smtp: z
              .strictObject(
                {
                  enabled: flag.optional(),
                  listen: oneOrMore(listen, A_LISTEN).optional(),
                  concurrency: count("a number of connections, 1 or more").optional(),
                  perClient: count("a number of connections, 1 or more").optional(),
                  relayFrom: list(network, A_NETWORK).optional(),
                  rules: list(rule, A_RULE).optional(),
                },
                { error: "the fields enabled, listen, concurrency, perClient, relayFrom, rules" },
              )
              .optional(),
            submission: submissionSchema.optional(),
            qmtp: z
              .strictObject(
                { ...qmailService, relayFrom: list(network, A_NETWORK).optional() },
                { error: "the fields listen, concurrency, relayFrom" },
              )
              .optional(),
            qmqp: z
              .strictObject(
                { ...qmailService, relayFrom: list(network, A_NETWORK) },
                { error: "the fields listen, concurrency, and relayFrom, which must be there" },
              )
              .optional(),
            pop3: pop3Schema.optional(),
          },
          { error: "services by name: smtp, submission, qmtp, qmqp, pop3" },
        )
        .optional(),
      bounces: z
        .strictObject(
          {
            format: z.enum(["qsbmf", "dsn"], { error: 'one of "qsbmf", "dsn"' }).optional(),
            maxBytes: z
              .number({ error: BYTES })
              .int({ error: BYTES })
              .min(0, { error: BYTES })
              .optional(),
          },
          { error: "the fields format and maxBytes" },
        )
        .optional(),
      popBeforeSmtp: z
        .number({ error: SECONDS })
        .int({ error: SECONDS })
        .min(0, { error: SECONDS })
        .optional(),
      client: z
        .strictObject(
          {
            hub: z.union([matching(HUB, A_HUB), z.array(matching(HUB, A_HUB)).min(1)], {
              error: A_HUB,
            }),
          },
          { error: "the field hub" },
        )
        .optional(),
      limits: limitsSchema.optional(),
      logGroup: matching(/^[a-z_][a-z0-9_-]*$/i, A_GROUP)
        .refine((name) => !(QMAIL_GROUPS as readonly string[]).includes(name), { error: A_GROUP })
        .optional(),
      concurrency: z
        .strictObject(
          {
            local: count("a number of deliveries, 1 or more").optional(),
            remote: count("a number of deliveries, 1 or more").optional(),
          },
          { error: "the fields local and remote" },
        )
        .optional(),
      control: z
        .record(
          matching(CONTROL_NAME, "the name of a control file"),
          z.union([oneLine(A_LINE), z.number(), z.array(oneLine(A_LINE))], { error: A_LINE }),
          { error: "control files with their lines" },
        )
        .optional(),
    },
    { error: "an object: export default defineConfig({ ... })" },
  )
  .refine(
    ({ tls, services }) => {
      const { submission } = services ?? {};
      if (!submission || submission.enabled === false || submission.authWithoutTls) return true;
      return tls !== undefined;
    },
    {
      path: ["tls"],
      error: `${A_CERTIFICATE}: services.submission needs it, or authWithoutTls: true`,
    },
  )
  .refine(({ tls, services }) => canLogIn(services?.pop3, tls !== undefined), {
    path: ["services", "pop3"],
    error: `${A_POP3_TLS}, or nobody could log in`,
  });

function isAssignment(line: string): boolean {
  if (!/^[=+]/.test(line)) return false;
  try {
    compileAssign(`${line}\n.\n`);
    return true;
  } catch {
    return false;
  }
}
