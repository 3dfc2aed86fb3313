/** Delivery of one message to the mail server of a host (qmail-remote(8)). */

import { Resolver } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { ConstMap } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import type { Message } from "../spawn/message.ts";
import type { Report } from "../spawn/report.ts";
import { type Exchanger, type Lookup, lookupHost, lookupMx, type MailResolver } from "./mx.ts";
import { converseQmtp, QMTP_PORT } from "./qmtp-client.ts";
import { converse, type Outcome } from "./smtp-client.ts";
import { findRoute, SMTP_PORT } from "./smtproutes.ts";
import { Tcpto } from "./tcpto.ts";

const DNS_TIMEOUT_MS = 5000;
const DNS_TRIES = 3;

export interface RemoteConfig {
  readonly helohost: string;
  /** Seconds. */
  readonly timeoutConnect: number;
  /** Seconds. */
  readonly timeoutRemote: number;
  readonly routes: ConstMap;
  /** Hosts that are talked to by QMTP. */
  readonly qmtpRoutes: ConstMap;
  readonly tcpto: Tcpto;
  readonly resolver: MailResolver;
  /** True for addresses of this machine. */
  readonly isOwn: (ip: string) => boolean;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** As the control files of the installation in `home` say. Throws when control/me is missing. */
export function readRemoteConfig(home: string): RemoteConfig {
  const control = new Control(home);
  const helohost = control.line("helohost") ?? control.line("me");
  if (!helohost) throw new Error("cannot read controls: control/me is missing");
  return {
    helohost,
    timeoutConnect: control.int("timeoutconnect", 60),
    timeoutRemote: control.int("timeoutremote", 1200),
    routes: new ConstMap(control.lines("smtproutes") ?? []),
    qmtpRoutes: new ConstMap(control.lines("qmtproutes") ?? []),
    tcpto: new Tcpto(join(home, "queue/lock/tcpto")),
    resolver: new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES }),
    isOwn: isOwnAddress,
    random: Math.random,
    now: () => Math.floor(Date.now() / 1000),
  };
}

export interface RemoteRequest {
  readonly host: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly message: Message;
}

/** Delivers. Never throws for what DNS, the network or the other side do. */
export async function remote(config: RemoteConfig, request: RemoteRequest): Promise<Outcome> {
  const quick = findRoute(config.qmtpRoutes, request.host, QMTP_PORT);
  // latin1 above ASCII: an address that QMTP carries, but SMTP only with SMTPUTF8.
  if (!quick && /[\x80-\xff]/.test([request.sender, ...request.recipients].join(""))) {
    return failed("D", "Sorry, addresses that need SMTPUTF8 cannot be sent yet. (#5.6.7)\n");
  }
  const route = quick ?? findRoute(config.routes, request.host);
  const port = route?.port ?? SMTP_PORT;
  const lookup = route
    ? await lookupHost(config.resolver, route.host)
    : await lookupMx(config.resolver, request.host, config.random);
  if (!lookup.ok) return lookupFailed(lookup, route?.host ?? request.host);
  const exchangers = route ? lookup.exchangers : withoutUs(config, lookup.exchangers);
  if (exchangers.length === 0) {
    return failed(
      "D",
      "Sorry. Although I'm listed as a best-preference MX or A for that host,\n" +
        "it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n",
    );
  }
  for (const { ip } of exchangers) {
    if (config.tcpto.shouldSkip(ip, config.now())) continue;
    const socket = await open(config, ip, port);
    if (socket) {
      const { helohost, timeoutRemote: timeout } = config;
      if (quick) return converseQmtp(socket, { timeout, ...request });
      return converse(socket, { helohost, timeout, ...request });
    }
  }
  const protocol = quick ? "a QMTP" : "an SMTP";
  return failed("Z", `Sorry, I wasn't able to establish ${protocol} connection. (#4.4.1)\n`);
}

/** qmail-rspawn's rule: what one recipient's and the message's outcome mean together. */
export function deliveryReport({ recipients, report }: Outcome): Report {
  const [recipient] = recipients;
  if (!recipient || recipient.status === "r") {
    return { status: report.status, text: (recipient?.text ?? "") + report.text };
  }
  return { status: recipient.status === "h" ? "D" : "Z", text: recipient.text + report.text };
}

/** Exchangers better than we are: mail must not go round in circles. */
function withoutUs(config: RemoteConfig, exchangers: readonly Exchanger[]): Exchanger[] {
  const ours = exchangers.filter(({ ip }) => config.isOwn(ip)).map(({ preference }) => preference);
  const best = Math.min(...ours, Number.POSITIVE_INFINITY);
  return exchangers.filter(({ preference }) => preference < best);
}

function lookupFailed(lookup: Lookup & { ok: false }, host: string): Outcome {
  switch (lookup.why) {
    case "soft":
      return failed("Z", "Sorry, I couldn't find any host by that name. (#4.1.2)\n");
    case "hard":
      return failed("D", `Sorry, I couldn't find any host named ${safe(host)}. (#5.1.2)\n`);
    case "null":
      return failed("D", `Sorry, ${safe(host)} takes no mail: its MX says so. (#5.1.10)\n`);
  }
}

function failed(status: "Z" | "D", text: string): Outcome {
  return { recipients: [], report: { status, text } };
}

function safe(text: string): string {
  return text.replace(/[^!-~]/g, "?");
}

/** A connection to `ip`; null when there is none, which tcpto remembers. */
function open(config: RemoteConfig, ip: string, port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port });
    const done = (result: Socket | null, timedOut: boolean) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      config.tcpto.note(ip, timedOut, config.now());
      if (!result) socket.on("error", () => {}).destroy();
      resolve(result);
    };
    const timer = setTimeout(() => done(null, true), config.timeoutConnect * 1000);
    socket.on("connect", () => done(socket, false));
    socket.on("error", (error: NodeJS.ErrnoException) => done(null, error.code === "ETIMEDOUT"));
  });
}

function isOwnAddress(ip: string): boolean {
  if (ip === "0.0.0.0" || ip === "::") return true;
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.some(({ address }) => address === ip);
}
