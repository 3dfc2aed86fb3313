/** Logins: the site's own user file first, then the system's users. */

import { ConstSet } from "../control/constmap.ts";
import { Control } from "../control/control.ts";
import { isSandbox } from "../ids.ts";
import { getpwnam } from "../users/passwd.ts";
import type { ScramKeys } from "./scram.ts";
import { apopMatches, cramMatches, verifyNothing, verifyPassword } from "./secrets.ts";
import { type Check, checkSystemPassword } from "./system.ts";
import { type Account, findEntry } from "./userfile.ts";

/**
 * What somebody says who wants to come in; byte strings. For APOP the second is the digest and the
 * third the challenge; for CRAM-MD5, as the AUTH patches of qmail-smtpd have it, the other way round.
 */
export interface Credentials {
  readonly login: string;
  readonly password: string;
  readonly timestamp: string;
}

/** Whose mailbox it is; or why not. */
export type LoginResult =
  | { readonly status: "ok"; readonly account: Account }
  | { readonly status: "refused" | "temporary" };

const DIGEST = /^[0-9a-f]{32}$/i;
/** Longer words are nobody's. */
const WORD_MAX = 512;

const REFUSED = { status: "refused" } as const;

/** The logins of the installation in `home`. */
export class Logins {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Checks a password. Throws when the user file cannot be read. */
  async check({ login, password, timestamp }: Credentials): Promise<LoginResult> {
    if ([login, password, timestamp].some(unfit) || login === "" || password === "") return REFUSED;
    const entry = findEntry(this.#home, login);
    if (!entry) return await this.#checkSystem(login, password);
    // Nobody's mailbox is root's, but in a sandbox that root has made to try things out.
    if (entry.uid === 0 && !isSandbox(this.#home)) return REFUSED;
    const { secret, hash } = entry;
    if (secret !== null && answers(secret, { password, timestamp })) {
      return { status: "ok", account: entry };
    }
    return (await verifyPassword(password, hash)) ? { status: "ok", account: entry } : REFUSED;
  }

  /** CRAM-MD5, for those whose password is kept as it is. */
  checkCram(login: string, answer: { challenge: string; response: string }): Check {
    const secret = findEntry(this.#home, login)?.secret ?? null;
    return secret !== null && cramMatches(secret, answer) ? "ok" : "refused";
  }

  /** The SCRAM-SHA-256 keys of `login`; null: it has none. */
  scramKeys(login: string): ScramKeys | null {
    return findEntry(this.#home, login)?.scram ?? null;
  }

  async #checkSystem(login: string, password: string): Promise<LoginResult> {
    const user = this.#systemUser(login);
    const passwd = user === null ? null : getpwnam(user);
    if (!passwd || passwd.uid === 0) {
      await verifyNothing(password);
      return REFUSED;
    }
    const status = await checkSystemPassword(passwd.name, password);
    if (status !== "ok") return { status };
    const { name, uid, gid, home, shell } = passwd;
    return { status, account: { user: name, uid, gid, home, shell } };
  }

  /** `joe`, or `joe@example.com` where that domain's mail is for system users; null: nobody's. */
  #systemUser(login: string): string | null {
    const at = login.lastIndexOf("@");
    if (at < 0) return login;
    const locals = new Control(this.#home).lines("locals", true) ?? [];
    return new ConstSet(locals).has(login.slice(at + 1)) ? login.slice(0, at) : null;
  }
}

/** Whether one of the words answers the other, as APOP or as CRAM-MD5. */
function answers(secret: string, { password, timestamp }: Omit<Credentials, "login">): boolean {
  if (DIGEST.test(password) && timestamp !== "") {
    return apopMatches(secret, { timestamp, response: password });
  }
  return (
    DIGEST.test(timestamp) && cramMatches(secret, { challenge: password, response: timestamp })
  );
}

function unfit(word: string): boolean {
  return word.length > WORD_MAX || word.includes("\0");
}
