/** Who is at the other end of a connection, as a tcpserver says it (tcp-environ(5)). */

export interface Client {
  readonly ip: string;
  /** "unknown" when it was not looked up or not found. */
  readonly host: string;
  /** What an ident server says of the user there; null when nothing does. */
  readonly info: string | null;
  /** Our name, or else our address. */
  readonly local: string;
}

/** The client of a program that a tcpserver has started. */
export function clientOfEnvironment(env: NodeJS.ProcessEnv): Client {
  return {
    ip: env.TCPREMOTEIP ?? "unknown",
    host: env.TCPREMOTEHOST ?? "unknown",
    info: env.TCPREMOTEINFO ?? null,
    local: env.TCPLOCALHOST ?? env.TCPLOCALIP ?? "unknown",
  };
}
