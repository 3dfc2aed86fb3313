/** What the kernel says of processes, for tests. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A field of /proc/PID/status, without its spaces. */
export function statusField(pid: number, name: string): string {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1] ?? "";
}

/** What `path` in /proc points at; "" when it has gone meanwhile. */
export function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** The addresses, in the kernel's form, that `pid` listens on by TCP. */
export function listeningOf(pid: number): string[] {
  const sockets = readdirSync(`/proc/${pid}/fd`)
    .map((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1])
    .filter((inode) => inode !== undefined);
  const lines = ["tcp", "tcp6"].flatMap((name) =>
    readFileSync(`/proc/net/${name}`, "latin1").split("\n").slice(1),
  );
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === "0A" && sockets.includes(inode ?? ""))
    .map(([, address = ""]) => address);
}
