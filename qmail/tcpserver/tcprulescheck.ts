/**
 * tcprulescheck: what tcpserver will do with a client, `tcprulescheck cdb` (tcprulescheck(1)). The
 * client is $TCPREMOTEIP, $TCPREMOTEHOST, $TCPREMOTEINFO; its address may be given behind the cdb, too.
 */

import { EXIT } from "../exit.ts";
import { systemReason } from "../system-reason.ts";
import { canonicalAddress } from "./keys.ts";
import { Rules, type Verdict } from "./rules.ts";

function describe({ rule, deny, env }: Verdict, ip: string): string {
  // The key of a network tells a person nothing.
  const address = /^[_^]/.test(rule ?? "") ? `${ip}/${(rule ?? "").length - 1}` : rule;
  const variables = env.map(([name, value]) => `set environment variable ${name}=${value}`);
  // Who is denied runs no program that could see them.
  const what = deny ? ["deny connection"] : [...variables, "allow connection"];
  const lines = [address === null ? "default:" : `rule ${address}:`, ...what];
  return lines.map((line) => `${line}\n`).join("");
}

function main([cdb, ip]: readonly string[]): number {
  if (!cdb) {
    process.stderr.write("tcprulescheck: usage: tcprulescheck rules.cdb [ip]\n");
    return EXIT.hard;
  }
  const { TCPREMOTEIP, TCPREMOTEHOST, TCPREMOTEINFO } = process.env;
  const address = canonicalAddress(ip ?? TCPREMOTEIP ?? "0.0.0.0");
  try {
    const verdict = new Rules(cdb).verdict({
      ip: address,
      host: TCPREMOTEHOST ?? null,
      info: TCPREMOTEINFO ?? null,
    });
    if (!verdict) throw Object.assign(new Error(), { code: "ENOENT" });
    process.stdout.write(describe(verdict, address), "latin1");
    return EXIT.ok;
  } catch (error) {
    process.stderr.write(`tcprulescheck: fatal: unable to read ${cdb}: ${systemReason(error)}\n`);
    return EXIT.soft;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
