/** The address that people write to: what control/virtualdomains puts before it is taken away again. Pure. */

import type { ConstMap } from "../control/constmap.ts";

/** `joe-ann@virtual.test` as `ann@virtual.test` where `domains` says `virtual.test:joe`; byte strings. */
export function writtenAddress(recipient: string, domains: ConstMap): string {
  const at = recipient.lastIndexOf("@");
  const [local, domain] = [recipient.slice(0, at), recipient.slice(at + 1)];
  // As qmail-send looks for it: the whole address, the domain, the domains above, everything.
  for (let dash = local.indexOf("-"); dash >= 0; dash = local.indexOf("-", dash + 1)) {
    const whole = `${local.slice(dash + 1)}@${domain}`;
    if (domains.get(whole) === local.slice(0, dash)) return whole;
  }
  for (let from = 0; from >= 0; from = domain.indexOf(".", from + 1)) {
    const prepended = domains.get(domain.slice(from));
    if (prepended !== undefined) return without(prepended, recipient);
  }
  return without(domains.get("") ?? "", recipient);
}

function without(prepended: string, recipient: string): string {
  const isThere = prepended !== "" && recipient.startsWith(`${prepended}-`);
  return isThere ? recipient.slice(prepended.length + 1) : recipient;
}
