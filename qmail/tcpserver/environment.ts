/** The variables of a connection (tcp-environ(5)). Pure. */

import type { Instructions } from "./rules.ts";
import type { Ends } from "./words.ts";

/**
 * What a program is told about its connection: `base`, the variables of the rule, and over both what is
 * known of the two ends. `mapped`: IPv4 clients are shown as of IPv6, too (tcpserver -6).
 */
export function connectionEnvironment(
  base: NodeJS.ProcessEnv,
  ends: Ends,
  { env, mapped }: Pick<Instructions, "env"> & { readonly mapped: boolean },
): NodeJS.ProcessEnv {
  const ipv6 = mapped || ends.remoteIp.includes(":");
  const all: NodeJS.ProcessEnv = { ...base, PROTO: ipv6 ? "TCP6" : "TCP" };
  for (const prefix of ipv6 ? ["TCP", "TCP6"] : ["TCP"]) {
    all[`${prefix}LOCALIP`] = ends.localIp;
    all[`${prefix}LOCALPORT`] = String(ends.localPort);
    set(all, `${prefix}LOCALHOST`, ends.localHost);
    all[`${prefix}REMOTEIP`] = ends.remoteIp;
    all[`${prefix}REMOTEPORT`] = String(ends.remotePort);
    set(all, `${prefix}REMOTEHOST`, ends.remoteHost);
    set(all, `${prefix}REMOTEINFO`, ends.remoteInfo);
  }
  // A rule may say better: RELAYCLIENT, but TCPLOCALHOST as well.
  for (const [name, value] of env) all[name] = asGiven(value);
  return all;
}

function set(env: NodeJS.ProcessEnv, name: string, value: string | null): void {
  if (value === null) delete env[name];
  else env[name] = asGiven(value);
}

/** Node writes the environment as UTF-8: so the bytes come out as they came in. */
function asGiven(text: string): string {
  const utf8 = Buffer.from(text, "latin1").toString("utf8");
  return utf8.includes("\ufffd") ? text : utf8;
}
