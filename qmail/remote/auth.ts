/** The client's side of SMTP AUTH: PLAIN, LOGIN, CRAM-MD5 (RFC 4954, 4616, 2195). Pure. */

import { createHmac } from "node:crypto";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface Mechanism {
  readonly name: string;
  /** What goes with the AUTH command; null for nothing. */
  readonly initial: string | null;
  /** The answer to each challenge of the server, in order; both in base64. */
  readonly answers: readonly ((challenge: string) => string)[];
}

/** Those that we know, the best first: how each is made. */
const KNOWN: Readonly<Record<string, (credentials: Credentials) => Mechanism>> = {
  "CRAM-MD5": cramMd5,
  PLAIN: plain,
  LOGIN: login,
};

/** Their names. */
export const MECHANISMS: readonly string[] = Object.keys(KNOWN);

/** Those of `wanted` that are in `offered` ("PLAIN LOGIN ..."), in the order in which they are to be tried. */
export function chooseMechanisms(
  offered: string,
  credentials: Credentials,
  wanted: readonly string[] = MECHANISMS,
): Mechanism[] {
  const names = new Set(offered.toUpperCase().split(/\s+/));
  const chosen = wanted.filter((name) => names.has(name));
  return chosen.flatMap((name) => KNOWN[name]?.(credentials) ?? []);
}

function cramMd5({ user, password }: Credentials): Mechanism {
  const answer = (challenge: string) => {
    const digest = createHmac("md5", Buffer.from(password, "latin1"))
      .update(Buffer.from(challenge, "base64"))
      .digest("hex");
    return base64(`${user} ${digest}`);
  };
  return { name: "CRAM-MD5", initial: null, answers: [answer] };
}

function plain({ user, password }: Credentials): Mechanism {
  return { name: "PLAIN", initial: base64(`\0${user}\0${password}`), answers: [] };
}

function login({ user, password }: Credentials): Mechanism {
  return { name: "LOGIN", initial: null, answers: [() => base64(user), () => base64(password)] };
}

function base64(text: string): string {
  return Buffer.from(text, "latin1").toString("base64");
}
