/** Who sends, as the environment has it (qmail-inject(8), "Environment variables"). */

import type { ByteEnv } from "../arguments.ts";

export interface Identity {
  readonly user: string;
  /** null for the default host. */
  readonly host: string | null;
  /** The personal name; empty for none. */
  readonly name: string;
  /** The envelope sender's local part and host. */
  readonly senderUser: string;
  readonly senderHost: string | null;
  /** The letters of QMAILINJECT. */
  readonly letters: ReadonlySet<string>;
}

/** Reads the identity from `env`. */
export function readIdentity(env: ByteEnv): Identity {
  const user = first(env, ["QMAILUSER", "MAILUSER", "USER", "LOGNAME"]) || "anonymous";
  const host = first(env, ["QMAILHOST", "MAILHOST"]);
  return {
    user,
    host,
    name: first(env, ["QMAILNAME", "MAILNAME", "NAME"]) ?? "",
    senderUser: first(env, ["QMAILSUSER"]) ?? user,
    senderHost: first(env, ["QMAILSHOST"]) ?? host,
    letters: new Set(env.QMAILINJECT ?? ""),
  };
}

/** The first of `variables` that is set, in one line: a line break would end the header field it goes into. */
function first(env: ByteEnv, variables: readonly string[]): string | null {
  const name = variables.find((variable) => env[variable] !== undefined);
  return name === undefined ? null : (env[name] as string).replace(/[\r\n]+/g, " ");
}

/**
 * `env` for a message whose sender was given by option: the From field, too, becomes his, and neither
 * the user's name nor host belongs to him.
 */
export function senderEnv(env: ByteEnv, sender: string): ByteEnv {
  const { QMAILNAME, MAILNAME, NAME, QMAILHOST, MAILHOST, ...rest } = env;
  if (sender === "") return rest;
  const at = sender.lastIndexOf("@");
  if (at < 0) return { ...rest, QMAILUSER: sender };
  return { ...rest, QMAILUSER: sender.slice(0, at), QMAILHOST: sender.slice(at + 1) };
}
