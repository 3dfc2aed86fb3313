/** For whom mail is taken: control/rcpthosts and control/morercpthosts.cdb (qmail-smtpd(8), C qmail: rcpthosts.c). */

import { type CdbFile, cdbGet } from "../cdb/cdb.ts";
import { ConstSet, lowerAscii } from "../control/constmap.ts";

/** The domains that we take mail for. */
export class RcptHosts {
  readonly #hosts: ConstSet | null;
  readonly #more: Pick<CdbFile, "read">;

  /** `lines` of rcpthosts, null when there is no such file; `more` is morercpthosts.cdb. */
  constructor(lines: readonly string[] | null, more: Pick<CdbFile, "read">) {
    this.#hosts = lines && new ConstSet(lines);
    this.#more = more;
  }

  /**
   * True when there is no rcpthosts. C qmail then takes mail for everybody, and is an open relay by
   * one forgotten file; here nobody is taken.
   */
  get missing(): boolean {
    return this.#hosts === null;
  }

  /** True when mail for `recipient` is taken. Throws when morercpthosts.cdb cannot be read. */
  allows(recipient: string): boolean {
    const hosts = this.#hosts;
    if (!hosts) return false;
    const at = recipient.lastIndexOf("@");
    // Without a domain it gets ours.
    if (at < 0) return true;
    const suffixes = domainSuffixes(lowerAscii(recipient.slice(at + 1)));
    if (suffixes.some((suffix) => hosts.has(suffix))) return true;
    const cdb = this.#more.read();
    if (!cdb) return false;
    return suffixes.some((suffix) => cdbGet(cdb, Buffer.from(suffix, "latin1")) !== null);
  }
}

/** `a.b.c` as itself, `.b.c` and `.c`: what a line of rcpthosts may say of it. */
function domainSuffixes(domain: string): string[] {
  if (domain === "") return [];
  const suffixes = [domain];
  for (let dot = domain.indexOf(".", 1); dot > 0; dot = domain.indexOf(".", dot + 1)) {
    suffixes.push(domain.slice(dot));
  }
  return suffixes;
}
