/**
 * AUTH: who is at the other end (RFC 4954). Each mechanism is a coroutine that says challenges, hears
 * responses, and ends with a verdict. Knows nothing of SMTP's replies.
 */

import { randomBytes } from "node:crypto";
import {
  fakeScramKeys,
  parseClientFirst,
  type ScramKeys,
  serverFirst,
  verifyClientFinal,
} from "../checkpassword/scram.ts";
import type { Check } from "../checkpassword/system.ts";
import type { Guard } from "../net/login-brakes.ts";

export type Verdict =
  | { readonly status: "ok"; readonly user: string }
  /** Not he, or nobody. `user` is who he said he is, for the log. */
  | { readonly status: "refused"; readonly user: string }
  /** It cannot be said now. */
  | { readonly status: "temporary"; readonly user: string }
  /** Has failed too often lately. */
  | { readonly status: "braked"; readonly user: string }
  | { readonly status: "malformed"; readonly user: string };

/** Where passwords are kept. Logins and passwords are byte strings. */
export interface PasswordStore {
  check(login: string, password: string): Promise<Check>;
  /** Where it keeps passwords as they are: whether `response` is HMAC-MD5 of `challenge` (CRAM-MD5). */
  checkCram?(login: string, answer: CramAnswer): Promise<Check>;
  /** Where it keeps such keys; null for a login that has none. Throws when it cannot be said now. */
  scramKeys?(login: string): Promise<ScramKeys | null>;
}

export interface CramAnswer {
  readonly challenge: string;
  /** Hexadecimal. */
  readonly response: string;
}

export interface AuthOptions {
  readonly store: PasswordStore;
  readonly guard: Guard;
  /** Our name, in challenges. */
  readonly host: string;
}

/** Longer names are nobody's. */
const LOGIN_MAX = 255;

type Exchange = AsyncGenerator<string, Verdict, string>;

type Mechanism = (options: AuthOptions, initial: string | null) => Exchange;

const MECHANISMS: Readonly<Record<string, Mechanism>> = {
  PLAIN: plain,
  LOGIN: login,
  "CRAM-MD5": cramMd5,
  "SCRAM-SHA-256": scramSha256,
};

/** The mechanisms that `store` allows, the best first. */
export function mechanisms(store: PasswordStore): string[] {
  return [
    ...(store.scramKeys ? ["SCRAM-SHA-256"] : []),
    ...(store.checkCram ? ["CRAM-MD5"] : []),
    "PLAIN",
    "LOGIN",
  ];
}

/**
 * An exchange by the mechanism `name` (capitals); null when the store does not allow it. `initial` is
 * the client's first word when it came with the command.
 */
export function beginExchange(
  name: string,
  initial: string | null,
  options: AuthOptions,
): Exchange | null {
  if (!mechanisms(options.store).includes(name)) return null;
  return (MECHANISMS[name] as Mechanism)(options, initial);
}

/** A word of the exchange in base64 as bytes; null when it is none. */
export function decodeWord(text: string): string | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, "base64").toString("latin1");
}

export function encodeWord(text: string): string {
  return Buffer.from(text, "latin1").toString("base64");
}

/** RFC 4616: authorization identity NUL login NUL password. */
async function* plain(options: AuthOptions, initial: string | null): Exchange {
  const [authzid = "", user, password, more] = (initial ?? (yield "")).split("\0");
  if (!user || password === undefined || more !== undefined) return malformed(user);
  // To act for somebody else is not for anybody here.
  if (authzid !== "" && authzid !== user) return { status: "refused", user };
  return await attempt(options, user, () => options.store.check(user, password));
}

/** Never a standard, and what many clients know. */
async function* login(options: AuthOptions, initial: string | null): Exchange {
  const user = initial ?? (yield "Username:");
  const password = yield "Password:";
  if (user === "" || `${user}${password}`.includes("\0")) return malformed(user);
  return await attempt(options, user, () => options.store.check(user, password));
}

/** RFC 2195. */
async function* cramMd5(options: AuthOptions, initial: string | null): Exchange {
  if (initial !== null) return malformed();
  const challenge = `<${randomBytes(12).toString("hex")}.${Date.now()}@${options.host}>`;
  const answer = yield challenge;
  const [, user = "", response] = /^([^\0]+) ([0-9a-f]{32})$/.exec(answer) ?? [];
  if (response === undefined) return malformed(user);
  return await attempt(
    options,
    user,
    async () => (await options.store.checkCram?.(user, { challenge, response })) ?? "refused",
  );
}

async function* scramSha256(options: AuthOptions, initial: string | null): Exchange {
  const { store, guard } = options;
  const first = parseClientFirst(initial ?? (yield ""));
  if (!first || first.user.length > LOGIN_MAX) return malformed();
  const { user } = first;
  const guess = guard.guess(user);
  if (!guess) return { status: "braked", user };
  let keys: ScramKeys;
  try {
    keys = (await store.scramKeys?.(user)) ?? fakeScramKeys(user, SCRAM_SECRET);
  } catch {
    guess.undecided();
    return { status: "temporary", user };
  }
  const server = serverFirst(first, randomBytes(18).toString("base64"), keys);
  const last = verifyClientFinal(yield server, { first, server, keys });
  if (last === null) return { status: "refused", user };
  guess.right();
  // RFC 4954 has no place for it beside the good news: it is one more challenge, answered by nothing.
  yield last;
  return { status: "ok", user };
}

const SCRAM_SECRET = randomBytes(32);

/** Asks the store, if the brake is not on. */
async function attempt(
  { guard }: AuthOptions,
  user: string,
  ask: () => Promise<Check>,
): Promise<Verdict> {
  if (user.length > LOGIN_MAX) return malformed();
  const guess = guard.guess(user);
  if (!guess) return { status: "braked", user };
  const status = await ask().catch((): Check => "temporary");
  if (status === "ok") guess.right();
  if (status === "temporary") guess.undecided();
  return { status, user };
}

function malformed(user = ""): Verdict {
  return { status: "malformed", user };
}
