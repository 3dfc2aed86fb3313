/**
 * SCRAM-SHA-256 as the server sees it (RFC 5802, RFC 7677), without channel binding. Pure, but for the salt of
 * new keys.
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/** What a store keeps of a password; none of it lets somebody log in elsewhere. */
export interface ScramKeys {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** RFC 7677 asks for at least this. */
const SCRAM_ITERATIONS = 4096;
const SALT_BYTES = 16;

/** The keys of `password`, a byte string; with a new salt where none is given. */
export function makeScramKeys(
  password: string,
  { salt = randomBytes(SALT_BYTES), iterations = SCRAM_ITERATIONS } = {},
): ScramKeys {
  const salted = pbkdf2Sync(Buffer.from(password, "latin1"), salt, iterations, 32, "sha256");
  const storedKey = createHash("sha256").update(hmac(salted, "Client Key")).digest();
  return { salt, iterations, storedKey, serverKey: hmac(salted, "Server Key") };
}

/** Keys that no password has, the same for each `user`: so that it does not show who exists. */
export function fakeScramKeys(user: string, secret: Buffer): ScramKeys {
  const part = (name: string) => hmac(secret, `${name} ${user}`);
  const salt = part("salt").subarray(0, SALT_BYTES);
  return {
    salt,
    iterations: SCRAM_ITERATIONS,
    storedKey: part("stored"),
    serverKey: part("server"),
  };
}

export interface ClientFirst {
  readonly user: string;
  readonly nonce: string;
  /** `n,,` or `y,,`, to be said again at the end. */
  readonly gs2: string;
  readonly bare: string;
}

/** The client's first message; null when it makes no sense or wants what we do not do. */
export function parseClientFirst(message: string): ClientFirst | null {
  const match = /^([ny],(?:a=[^,]*)?,)(n=([^,]+),r=([!-+\--~]+)(?:,.*)?)$/.exec(message);
  if (!match) return null;
  const [, gs2 = "", bare = "", name = "", nonce = ""] = match;
  if (/=(?!2C|3D)/.test(name)) return null;
  const user = name.replaceAll("=2C", ",").replaceAll("=3D", "=");
  // To act for somebody else is not for anybody here.
  const authzid = /a=([^,]*)/.exec(gs2)?.[1];
  return authzid !== undefined && authzid !== name ? null : { user, nonce, gs2, bare };
}

export function serverFirst({ nonce }: ClientFirst, serverNonce: string, keys: ScramKeys): string {
  return `r=${nonce}${serverNonce},s=${keys.salt.toString("base64")},i=${keys.iterations}`;
}

/** The server's last message when the client's is the proof of `keys`; null when it is not. */
export function verifyClientFinal(
  message: string,
  { first, server, keys }: { first: ClientFirst; server: string; keys: ScramKeys },
): string | null {
  const match = /^(c=([^,]+),r=([^,]+)(?:,.*)?),p=([A-Za-z0-9+/=]+)$/.exec(message);
  if (!match) return null;
  const [, withoutProof, binding = "", nonce, proof = ""] = match;
  if (Buffer.from(binding, "base64").toString("latin1") !== first.gs2) return null;
  if (nonce !== /^r=([^,]+)/.exec(server)?.[1]) return null;
  const said = `${first.bare},${server},${withoutProof}`;
  const signature = hmac(keys.storedKey, said);
  const clientProof = Buffer.from(proof, "base64");
  if (clientProof.length !== signature.length) return null;
  const clientKey = Buffer.from(signature.map((byte, at) => byte ^ (clientProof[at] as number)));
  const stored = createHash("sha256").update(clientKey).digest();
  if (!timingSafeEqual(stored, keys.storedKey)) return null;
  return `v=${hmac(keys.serverKey, said).toString("base64")}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text, "latin1").digest();
}
