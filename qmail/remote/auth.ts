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

/** The best of the mechanisms in `offered` ("PLAIN LOGIN ..."); null when there is none that we know. */
export function chooseMechanism(offered: string, credentials: Credentials): Mechanism | null {
  const names = offered.toUpperCase().split(/\s+/);
  const known = [cramMd5(credentials), plain(credentials), login(credentials)];
  return known.find(({ name }) => names.includes(name)) ?? null;
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
