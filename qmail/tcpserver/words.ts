/** What tcpserver says: its log lines, word for word, as log analysers know them. */

/** Who talks to whom. */
export interface Ends {
  readonly localHost: string | null;
  readonly localIp: string;
  readonly localPort: number;
  readonly remoteHost: string | null;
  readonly remoteIp: string;
  readonly remoteInfo: string | null;
  readonly remotePort: number;
}

const LONGEST = 100;

/** Others' words, made harmless for a log: printable, without %, and cut. */
function safe(text: string | null): string {
  const shown = (text ?? "").slice(0, LONGEST).replace(/[^!-~]|%/g, "?");
  return (text ?? "").length >= LONGEST ? `${shown}...` : shown;
}

export function status(running: number, limit: number): string {
  return `tcpserver: status: ${running}/${limit}\n`;
}

export function from(pid: number, ip: string): string {
  return `tcpserver: pid ${pid} from ${ip}\n`;
}

export function verdict(deny: boolean, pid: number, ends: Ends): string {
  const { localHost, localIp, localPort, remoteHost, remoteIp, remoteInfo, remotePort } = ends;
  const local = `${safe(localHost)}:${localIp}:${localPort}`;
  const remote = `${safe(remoteHost)}:${remoteIp}:${safe(remoteInfo)}:${remotePort}`;
  return `tcpserver: ${deny ? "deny" : "ok"} ${pid} ${local} ${remote}\n`;
}

/** `wstat` as wait(2) gives it. */
export function end(pid: number, wstat: number): string {
  return `tcpserver: end ${pid} status ${wstat}\n`;
}

export function fatal(text: string): string {
  return `tcpserver: fatal: ${text}\n`;
}

export function dropped(text: string): string {
  return `tcpserver: warning: dropping connection, ${text}\n`;
}
