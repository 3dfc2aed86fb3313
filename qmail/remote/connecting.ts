/** From a plan to an open session with one of the servers that it leads to. */

import { connect, isIP, type Socket } from "node:net";
import type { Report } from "../spawn/report.ts";
import { warn } from "../warn.ts";
import { choosePolicy, type PolicyContext, type Published } from "./choose-policy.ts";
import { type Exchanger, type LookupFailure, lookupHost, lookupMx } from "./mx.ts";
import type { Plan } from "./plan.ts";
import { QmtpSession } from "./qmtp-session.ts";
import { isSession, type MailSession, type NotOpened, SmtpSession } from "./session.ts";
import type { Trace } from "./smtp-socket.ts";
import type { Tcpto } from "./tcpto.ts";
import type { TlsFault } from "./tls-fault.ts";
import { policyText, type TlsPolicy } from "./tls-policy.ts";
import type { TlsReports } from "./tls-reports.ts";
import * as words from "./words.ts";

/** What connecting needs of the world. */
export interface ConnectContext extends PolicyContext {
  readonly helohost: string;
  /** Seconds. */
  readonly timeoutConnect: number;
  /** Seconds. */
  readonly timeoutRemote: number;
  /** Seconds, for all that is said about one message; one more for each 1000 bytes of it. */
  readonly timeoutTotal: number;
  readonly tcpto: Tcpto;
  /** Told how TLS went, for reports to those who published a policy. */
  readonly tlsReports?: Pick<TlsReports, "note">;
  /** Patience.begin, for the servers of a plan; absent: nobody else waits. */
  readonly patience?: (giveUp: () => void) => () => void;
  /** True for addresses of this machine. */
  readonly isOwn: (ip: string) => boolean;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Milliseconds. */
  readonly now: () => number;
  /** Told what is found and said on the way. */
  readonly trace?: Trace;
}

/** Why there is no session; `unreachable`: because nobody of the host could be talked to. */
export interface NotConnected {
  readonly report: Report;
  readonly unreachable: boolean;
}

/**
 * A session with the best server that answers; time-outs up to `forgotten` (milliseconds by the steady clock) keep nobody
 * from being tried. Rejects never.
 */
export async function openSession(
  context: ConnectContext,
  plan: Plan,
  forgotten = Number.NEGATIVE_INFINITY,
): Promise<MailSession | NotConnected> {
  const { dns, random } = context;
  const lookup = plan.byMx
    ? await lookupMx(dns, plan.host, random)
    : await lookupHost(dns, plan.host);
  if (!lookup.ok) return notFound(plan, lookup.why);
  for (const { name, ip, preference, secure } of lookup.exchangers) {
    const rank = plan.byMx ? `preference ${preference}, ` : "";
    context.trace?.("*", `${name} [${ip}] (${rank}${secure ? "DNSSEC" : "no DNSSEC"})`);
  }
  const ours = plan.byMx ? ourPreference(context, lookup.exchangers) : Number.POSITIVE_INFINITY;
  // Exchangers better than we are: mail must not go round in circles.
  const exchangers = lookup.exchangers.filter(({ preference }) => preference < ours);
  if (exchangers.length === 0) {
    const better = lookup.missing.some((preference) => preference < ours);
    return { report: better ? words.BETTER_MX_UNKNOWN : words.AMBIGUOUS_MX, unreachable: better };
  }
  const { bind } = plan.options;
  const fitting = exchangers.filter(({ ip }) => bind === undefined || isIP(ip) === isIP(bind));
  let failed = fitting.length > 0 ? null : cannotBind(bind as string, "it leads to none of them");
  for (const exchanger of fitting) {
    if (context.tcpto.shouldSkip(exchanger.ip, forgotten)) continue;
    const session = await tryExchanger(context, plan, exchanger);
    if (isSession(session)) return session;
    // What one of them said is worth more than that another could not be reached.
    failed = session ?? failed;
    if (failed?.retry === "no") break;
  }
  const none = plan.protocol === "qmtp" ? words.NO_QMTP_CONNECTION : words.NO_CONNECTION;
  return { report: failed?.report ?? none, unreachable: failed?.retry !== "no" };
}

/** How good we are ourselves among `exchangers`. */
function ourPreference(context: ConnectContext, exchangers: readonly Exchanger[]): number {
  const ours = exchangers.filter(({ ip }) => context.isOwn(ip)).map(({ preference }) => preference);
  return Math.min(...ours, Number.POSITIVE_INFINITY);
}

/** That is our mistake, and every server is as far away. */
function cannotBind(bind: string, why: string): NotOpened {
  warn(`control/remoteoptions, bind=${bind}: ${why}`);
  return { report: words.cannotBind(bind, why), retry: "next" };
}

function notFound({ host, route }: Plan, why: LookupFailure): NotConnected {
  if (route === null || why === "soft") {
    return { report: words.lookupFailed(why, host), unreachable: why === "soft" };
  }
  // That is our mistake, and no fault of the message.
  warn(`${route}: there is no host "${host}"`);
  return { report: words.relayUnknown(host), unreachable: true };
}

/** Null when no connection could be made. */
async function tryExchanger(
  context: ConnectContext,
  plan: Plan,
  exchanger: Exchanger,
): Promise<MailSession | NotOpened | null> {
  if (plan.protocol === "qmtp") return quick(context, plan, exchanger);
  const { policy, fault, published } = await choosePolicy(context, plan, exchanger);
  const note = noteTls(context, plan, { exchanger, published });
  if (fault) note(fault);
  const { ip } = exchanger;
  if (!policy) return { report: words.noTls(ip, fault?.reason ?? ""), retry: "next" };
  context.trace?.("*", `connecting to ${ip} port ${plan.port}; TLS: ${policyText(policy)}`);
  // A session counts once.
  const onTls = fault ? () => {} : note;
  const session = await greet(context, plan, { exchanger, policy, onTls });
  if (isSession(session) || session?.retry !== "plain") return session;
  // Opportunistic TLS that does not work must not be worse than none.
  const { why } = session;
  const none: TlsPolicy = {
    source: "default",
    mode: "none",
    ...(why === undefined ? {} : { why }),
  };
  return greet(context, plan, { exchanger, policy: none, onTls: () => {} });
}

type NoteTls = (fault: TlsFault | null, from?: string) => void;

function noteTls(
  { tlsReports }: ConnectContext,
  { domain }: Plan,
  { exchanger, published }: { exchanger: Exchanger; published: Published | null },
): NoteTls {
  if (!tlsReports || !published) return () => {};
  const { name: mx, ip } = exchanger;
  return (fault, from) => {
    tlsReports.note({ domain, published, mx, ip, fault, ...(from === undefined ? {} : { from }) });
  };
}

/** QMTP has no greeting, and no TLS. */
async function quick(
  context: ConnectContext,
  { port, options }: Plan,
  { ip }: Exchanger,
): Promise<MailSession | NotOpened | null> {
  context.trace?.("*", `connecting to ${ip} port ${port} for QMTP`);
  return patiently(context, async (signal) => {
    const socket = await connectTo(context, { ip, port, bind: options.bind, signal });
    if (!socket || "retry" in socket) return socket;
    return new QmtpSession(socket, {
      timeout: context.timeoutRemote * 1000,
      total: context.timeoutTotal * 1000,
    });
  });
}

async function greet(
  context: ConnectContext,
  { options, port, credentials, secureContext }: Plan,
  { exchanger, policy, onTls }: { exchanger: Exchanger; policy: TlsPolicy; onTls: NoteTls },
): Promise<MailSession | NotOpened | null> {
  return patiently(context, async (signal) => {
    const { ip } = exchanger;
    const socket = await connectTo(context, { ip, port, bind: options.bind, signal });
    if (!socket || "retry" in socket) return socket;
    return SmtpSession.open(socket, {
      helohost: options.helo ?? context.helohost,
      timeout: context.timeoutRemote * 1000,
      total: context.timeoutTotal * 1000,
      name: options.name ?? exchanger.name,
      tls: policy,
      onTls: (fault) => onTls(fault, socket.localAddress),
      credentials,
      authWithoutTls: options.authWithoutTls,
      mechanisms: options.mechanisms,
      ignore: options.ignore,
      secureContext,
      now: context.now,
      ...(context.trace ? { trace: context.trace } : {}),
    });
  });
}

/** `open` for as long as there is patience with it. */
async function patiently<T>(
  { patience }: ConnectContext,
  open: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (!patience) return open(undefined);
  const controller = new AbortController();
  const ended = patience(() => controller.abort());
  try {
    return await open(controller.signal);
  } finally {
    ended();
  }
}

/** By the kernel's patience, or by ours. */
const TIMED_OUT: readonly string[] = ["ETIMEDOUT", "ABORT_ERR"];

interface Target {
  readonly ip: string;
  readonly port: number;
  readonly bind: string | undefined;
  /** Ends the connection, whatever it has come to. */
  readonly signal: AbortSignal | undefined;
}

/** What the kernel says to an address that is not ours. */
const NOT_OURS: readonly string[] = ["EADDRNOTAVAIL", "EINVAL"];

/** A connection; null when there is none, which tcpto remembers. */
function connectTo(
  context: ConnectContext,
  { ip, port, bind, signal }: Target,
): Promise<Socket | NotOpened | null> {
  return new Promise((resolve) => {
    const socket = connect({
      host: ip,
      port,
      // Everything is written in whole pieces: to hold the end of a message back until its beginning is
      // acknowledged costs 40 ms a message where the server acknowledges late.
      noDelay: true,
      ...(bind === undefined ? {} : { localAddress: bind }),
      ...(signal ? { signal } : {}),
    });
    const done = (result: Socket | NotOpened | null, timedOut: boolean) => {
      clearTimeout(timer);
      socket.removeListener("connect", connected);
      socket.removeListener("error", failed);
      context.tcpto.note(ip, timedOut);
      if (result !== socket) socket.on("error", () => {}).destroy();
      resolve(result);
    };
    const connected = () => done(socket, false);
    const failed = ({ code = "" }: NodeJS.ErrnoException) => {
      const foreign = bind !== undefined && NOT_OURS.includes(code);
      if (foreign) done(cannotBind(bind, `no connection can come from there (${code})`), false);
      else done(null, TIMED_OUT.includes(code));
    };
    const timer = setTimeout(() => done(null, true), context.timeoutConnect * 1000);
    socket.on("connect", connected);
    socket.on("error", failed);
  });
}
