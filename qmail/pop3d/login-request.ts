/**
 * How the POP3 service asks its login helper for a session, on a connection of its own. Pure.
 *
 * The service sends eight words, each ended by a NUL, and waits. When the login is good the helper gives the connection
 * to qmail-pop3d, whose greeting is the answer; else it answers with a NUL, which no greeting begins with, and
 * a letter. A checkpassword program that refuses just hangs up.
 */

/** Who asks for what, from where. */
export interface LoginRequest {
  readonly login: string;
  readonly password: string;
  readonly timestamp: string;
  readonly env: Readonly<Record<EnvironmentName, string>>;
}

const ENVIRONMENT = [
  "PROTO",
  "TCPREMOTEIP",
  "TCPREMOTEPORT",
  "TCPLOCALIP",
  "TCPLOCALPORT",
] as const;

/** What qmail-pop3d is told of the connection (tcp-environ(5)). */
export type EnvironmentName = (typeof ENVIRONMENT)[number];

const WORDS = 3 + ENVIRONMENT.length;

/** A longer request is nobody's. */
export const REQUEST_MAX = 4096;

/** The request as bytes; null when a word has a NUL, or it is too long: nobody has such a password. */
export function formatRequest({ login, password, timestamp, env }: LoginRequest): Buffer | null {
  const words = [login, password, timestamp, ...ENVIRONMENT.map((name) => env[name])];
  const bytes = Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1");
  return words.some((word) => word.includes("\0")) || bytes.length > REQUEST_MAX ? null : bytes;
}

/** The request in `bytes`; null when it is not all there. */
export function parseRequest(bytes: Buffer): LoginRequest | null {
  const words = bytes.toString("latin1").split("\0");
  if (words.length <= WORDS) return null;
  const [login = "", password = "", timestamp = "", ...rest] = words;
  const env = Object.fromEntries(ENVIRONMENT.map((name, at) => [name, rest[at] ?? ""]));
  return { login, password, timestamp, env: env as LoginRequest["env"] };
}

/** Why there is no session. */
export type Refusal = "refused" | "temporary";

const LETTERS: Readonly<Record<Refusal, string>> = { refused: "r", temporary: "t" };

export function formatRefusal(refusal: Refusal): Buffer {
  return Buffer.from(`\0${LETTERS[refusal]}`, "latin1");
}

/** What an answer that begins with `bytes` says; null: there is a session, and these bytes are of it. */
export function parseAnswer(bytes: Buffer): Refusal | null {
  if (bytes[0] !== 0) return null;
  return bytes.toString("latin1", 1, 2) === LETTERS.refused ? "refused" : "temporary";
}
