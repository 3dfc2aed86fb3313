/** From a plan to an open session with one of the servers that it leads to. */

import { connect, type Socket } from "node:net";
import type { Dns } from "../dns/resolver.ts";
import type { Report } from "../spawn/report.ts";
import { usableTlsa } from "./dane.ts";
import { isNamedBy, type StsPolicies } from "./mta-sts.ts";
import { type Exchanger, lookupHost, lookupMx } from "./mx.ts";
import type { Plan } from "./plan.ts";
import { QmtpSession } from "./qmtp-session.ts";
import { isSession, type MailSession, type NotOpened, SmtpSession } from "./session.ts";
import type { Trace } from "./smtp-socket.ts";
import type { Tcpto } from "./tcpto.ts";
import { policyText, type TlsPolicy } from "./tls-policy.ts";
import * as words from "./words.ts";

/** What connecting needs of the world. */
export interface ConnectContext {
  readonly helohost: string;
  /** Seconds. */
  readonly timeoutConnect: number;
  /** Seconds. */
  readonly timeoutRemote: number;
  /** Seconds, for all that is said about one message; one more for each 1000 bytes of it. */
  readonly timeoutTotal: number;
  readonly tcpto: Tcpto;
  readonly dns: Dns;
  /** What domains want by MTA-STS; absent: nobody is asked. */
  readonly sts?: Pick<StsPolicies, "find">;
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
 * A session with the best server that answers; time-outs up to `forgotten` (milliseconds) keep nobody from
 * being tried. Rejects never.
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
  if (!lookup.ok) {
    const report = words.lookupFailed(lookup.why, plan.host);
    return { report, unreachable: lookup.why === "soft" };
  }
  for (const { name, ip, preference, secure } of lookup.exchangers) {
    const rank = plan.byMx ? `preference ${preference}, ` : "";
    context.trace?.("*", `${name} [${ip}] (${rank}${secure ? "DNSSEC" : "no DNSSEC"})`);
  }
  const exchangers = plan.byMx ? withoutUs(context, lookup.exchangers) : lookup.exchangers;
  if (exchangers.length === 0) return { report: words.AMBIGUOUS_MX, unreachable: false };
  let failed: NotOpened | null = null;
  for (const exchanger of exchangers) {
    if (context.tcpto.shouldSkip(exchanger.ip, seconds(context), forgotten / 1000)) continue;
    const session = await tryExchanger(context, plan, exchanger);
    if (isSession(session)) return session;
    // What one of them said is worth more than that another could not be reached.
    failed = session ?? failed;
    if (failed?.retry === "no") break;
  }
  const none = plan.protocol === "qmtp" ? words.NO_QMTP_CONNECTION : words.NO_CONNECTION;
  return { report: failed?.report ?? none, unreachable: failed?.retry !== "no" };
}

/** Exchangers better than we are: mail must not go round in circles. */
function withoutUs(context: ConnectContext, exchangers: readonly Exchanger[]): Exchanger[] {
  const ours = exchangers.filter(({ ip }) => context.isOwn(ip)).map(({ preference }) => preference);
  const best = Math.min(...ours, Number.POSITIVE_INFINITY);
  return exchangers.filter(({ preference }) => preference < best);
}

/** Null when no connection could be made. */
async function tryExchanger(
  context: ConnectContext,
  plan: Plan,
  exchanger: Exchanger,
): Promise<MailSession | NotOpened | null> {
  if (plan.protocol === "qmtp") return quick(context, plan, exchanger);
  const policy = await tlsPolicy(context, plan, exchanger);
  if ("report" in policy) return policy;
  const { ip } = exchanger;
  context.trace?.("*", `connecting to ${ip} port ${plan.port}; TLS: ${policyText(policy)}`);
  const session = await greet(context, plan, { exchanger, policy });
  if (isSession(session) || session?.retry !== "plain") return session;
  // Opportunistic TLS that does not work must not be worse than none.
  return greet(context, plan, { exchanger, policy: { source: "default", mode: "none" } });
}

/** QMTP has no greeting, and no TLS. */
async function quick(
  context: ConnectContext,
  { port, options }: Plan,
  { ip }: Exchanger,
): Promise<MailSession | null> {
  context.trace?.("*", `connecting to ${ip} port ${port} for QMTP`);
  const socket = await connectTo(context, { ip, port, bind: options.bind });
  return (
    socket &&
    new QmtpSession(socket, {
      timeout: context.timeoutRemote * 1000,
      total: context.timeoutTotal * 1000,
    })
  );
}

async function greet(
  context: ConnectContext,
  { options, port, credentials, secureContext }: Plan,
  { exchanger, policy }: { exchanger: Exchanger; policy: TlsPolicy },
): Promise<MailSession | NotOpened | null> {
  const socket = await connectTo(context, { ip: exchanger.ip, port, bind: options.bind });
  if (!socket) return null;
  return SmtpSession.open(socket, {
    helohost: options.helo ?? context.helohost,
    timeout: context.timeoutRemote * 1000,
    total: context.timeoutTotal * 1000,
    name: options.name ?? exchanger.name,
    tls: policy,
    credentials,
    secureContext,
    now: context.now,
    ...(context.trace ? { trace: context.trace } : {}),
  });
}

/** What was asked for, or else what the domain asks for by DANE or MTA-STS, or else what is offered. */
async function tlsPolicy(
  context: ConnectContext,
  plan: Plan,
  exchanger: Exchanger,
): Promise<TlsPolicy | NotOpened> {
  const { options } = plan;
  if (options.tlsAsked) {
    if (options.tls !== "verify") return { source: "route", mode: options.tls };
    return { source: "route", mode: "verify", names: [options.name ?? exchanger.name] };
  }
  return (
    (await danePolicy(context, plan, exchanger)) ??
    (await stsPolicy(context, plan, exchanger)) ?? { source: "default", mode: "may" }
  );
}

async function danePolicy(
  { dns }: ConnectContext,
  { port, domain }: Plan,
  { name, ip, secure }: Exchanger,
): Promise<TlsPolicy | NotOpened | null> {
  if (!secure) return null;
  const tlsa = await dns.lookup(`_${port}._tcp.${name}`, "TLSA");
  if (tlsa.status === "trouble") {
    // An attacker who can keep the records from us must not win (RFC 7672 section 2.1.1).
    const report = words.noTls(ip, `its TLSA records cannot be looked up: ${tlsa.why}`);
    return { report, retry: "next" };
  }
  if (tlsa.status === "none" || !tlsa.secure) return null;
  const usable = usableTlsa(tlsa.records);
  if (usable.length === 0) return { source: "DANE", mode: "require" };
  return { source: "DANE", mode: "dane", tlsa: usable, names: [name, domain] };
}

async function stsPolicy(
  { sts }: ConnectContext,
  { byMx, domain }: Plan,
  { name, ip }: Exchanger,
): Promise<TlsPolicy | NotOpened | null> {
  if (!sts || !byMx) return null;
  const policy = await sts.find(domain);
  if (policy?.mode !== "enforce") return null;
  if (isNamedBy(policy, name)) return { source: "MTA-STS", mode: "verify", names: [name] };
  const report = words.noTls(ip, `${name} is not named by the MTA-STS policy of ${domain}`);
  return { report, retry: "next" };
}

/** A connection; null when there is none, which tcpto remembers. */
function connectTo(
  context: ConnectContext,
  { ip, port, bind }: { ip: string; port: number; bind: string | undefined },
): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({
      host: ip,
      port,
      // Everything is written in whole pieces: to hold the end of a message back until its beginning is
      // acknowledged costs 40 ms a message where the server acknowledges late.
      noDelay: true,
      ...(bind === undefined ? {} : { localAddress: bind }),
    });
    const done = (result: Socket | null, timedOut: boolean) => {
      clearTimeout(timer);
      socket.removeListener("connect", connected);
      socket.removeListener("error", failed);
      context.tcpto.note(ip, timedOut, seconds(context));
      if (!result) socket.on("error", () => {}).destroy();
      resolve(result);
    };
    const connected = () => done(socket, false);
    const failed = (error: NodeJS.ErrnoException) => done(null, error.code === "ETIMEDOUT");
    const timer = setTimeout(() => done(null, true), context.timeoutConnect * 1000);
    socket.on("connect", connected);
    socket.on("error", failed);
  });
}

function seconds({ now }: ConnectContext): number {
  return Math.floor(now() / 1000);
}
