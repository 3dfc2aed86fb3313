/**
 * What is kept of a password: a scrypt hash in PHC form; and where the administrator chose so the password
 * itself, for CRAM-MD5 and APOP. Passwords are byte strings.
 */

import { createHash, createHmac, randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** Cost of new hashes: 32 MiB and some 0.1 s each (ln is the logarithm of scrypt's N). */
const COST = { ln: 15, r: 8, p: 1 } as const;
/** A hash in the file may not make us use more memory than this. */
const MEMORY_MAX = 128 << 20;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

interface Cost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/** `$scrypt$ln=15,r=8,p=1$SALT$HASH` for `password`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { salt, cost: COST, length: HASH_BYTES });
  const { ln, r, p } = COST;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${base64(salt)}$${base64(hash)}`;
}

/** Whether `password` is the one of `phc`. Throws on a hash of another kind or of unreasonable cost. */
export async function verifyPassword(password: string, phc: string): Promise<boolean> {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([\w+/]+)\$([\w+/]+)$/.exec(phc);
  if (!match) throw new Error("this is no scrypt hash");
  const [, ln, r, p, salt = "", text = ""] = match;
  const hash = Buffer.from(text, "base64");
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  const options = { salt: Buffer.from(salt, "base64"), cost, length: hash.length };
  return timingSafeEqual(await derive(password, options), hash);
}

/** Takes as long as a check does: so that it does not show whether there is such a login. */
export async function verifyNothing(password: string): Promise<false> {
  await derive(password, { salt: Buffer.alloc(SALT_BYTES), cost: COST, length: HASH_BYTES });
  return false;
}

function derive(
  password: string,
  { salt, cost, length }: { salt: Buffer; cost: Cost; length: number },
): Promise<Buffer> {
  const options = { N: 2 ** cost.ln, r: cost.r, p: cost.p, maxmem: MEMORY_MAX };
  return new Promise((resolve, reject) => {
    scrypt(Buffer.from(password, "latin1"), salt, length, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** PHC leaves out the padding. */
function base64(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("=", "");
}

/** Whether `response`, in hexadecimal, is HMAC-MD5 of `challenge` (CRAM-MD5, RFC 2195). */
export function cramMatches(
  secret: string,
  { challenge, response }: { challenge: string; response: string },
): boolean {
  return same(createHmac("md5", bytes(secret)).update(bytes(challenge)).digest(), response);
}

/** Whether `response`, in hexadecimal, is MD5 of the timestamp and the secret (APOP, RFC 1939). */
export function apopMatches(
  secret: string,
  { timestamp, response }: { timestamp: string; response: string },
): boolean {
  return same(
    createHash("md5")
      .update(bytes(timestamp + secret))
      .digest(),
    response,
  );
}

function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function same(right: Buffer, hexadecimal: string): boolean {
  const said = Buffer.from(hexadecimal, "hex");
  return said.length === right.length && timingSafeEqual(said, right);
}
