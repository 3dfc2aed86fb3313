/** Who is connected to the doors now: what the kernel lists of the ports that their processes listen on (proc_net_tcp). */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const ESTABLISHED = "01";
const LISTEN = "0A";

export interface Socket {
  /** As the kernel writes them. */
  readonly address: string;
  readonly port: number;
  readonly remote: string;
  readonly state: string;
  readonly inode: string;
}

/** A process that listens. */
export interface Door {
  readonly name: string;
  readonly pid: number;
}

export interface DoorConnections {
  readonly open: number;
  /** By client's address. */
  readonly clients: ReadonlyMap<string, number>;
}

/** The rows of /proc/net/tcp or tcp6. */
export function parseSockets(text: string): Socket[] {
  const sockets: Socket[] = [];
  for (const [, address = "", port = "", remote = "", state = "", inode = ""] of text.matchAll(
    /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):[0-9A-F]{4} ([0-9A-F]{2})(?: +\S+){5} +(\d+)/gm,
  )) {
    sockets.push({ address, port: Number.parseInt(port, 16), remote, state, inode });
  }
  return sockets;
}

/** An address as the kernel writes it, words of 32 bits in the byte order of the machine (little-endian). */
export function formatAddress(hex: string): string {
  const bytes = Buffer.from(hex, "hex").swap32();
  const mapped = bytes.length === 16 && bytes.subarray(0, 12).equals(MAPPED);
  if (bytes.length === 4 || mapped) return [...bytes.subarray(-4)].join(".");
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

export class Connections {
  /** The inodes of the sockets that a process listens on; they are looked for once. */
  readonly #listening = new Map<number, ReadonlySet<string>>();

  /** Who is connected to each of `doors`, by name. Doors whose processes we may not look at are left out. */
  read(doors: readonly Door[]): Map<string, DoorConnections> {
    const found = new Map<string, DoorConnections>();
    for (const pid of this.#listening.keys()) {
      if (!doors.some((door) => door.pid === pid)) this.#listening.delete(pid);
    }
    const [first] = doors;
    if (!first) return found;
    // All doors of an installation are in one network namespace.
    const sockets = socketsOf(first.pid);
    for (const { name, pid } of doors) {
      const inodes = this.#inodes(pid);
      if (inodes === null) continue;
      const listeners = sockets.filter(({ state, inode }) => state === LISTEN && inodes.has(inode));
      found.set(name, connectedTo(listeners, sockets));
    }
    return found;
  }

  #inodes(pid: number): ReadonlySet<string> | null {
    const known = this.#listening.get(pid);
    if (known && known.size > 0) return known;
    try {
      const inodes = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => socketInode(pid, fd));
      const listening = new Set(
        socketsOf(pid)
          .filter(({ state, inode }) => state === LISTEN && inodes.includes(inode))
          .map(({ inode }) => inode),
      );
      this.#listening.set(pid, listening);
      return listening;
    } catch {
      return null;
    }
  }
}

function connectedTo(listeners: readonly Socket[], sockets: readonly Socket[]): DoorConnections {
  const clients = new Map<string, number>();
  let open = 0;
  for (const { address, port, remote, state } of sockets) {
    if (state !== ESTABLISHED) continue;
    if (!listeners.some((each) => each.port === port && covers(each.address, address))) continue;
    const client = formatAddress(remote);
    clients.set(client, (clients.get(client) ?? 0) + 1);
    open++;
  }
  return { open, clients };
}

/** True when who listens on `listening` gets what comes to `address`. */
function covers(listening: string, address: string): boolean {
  return /^0+$/.test(listening) || formatAddress(listening) === formatAddress(address);
}

function socketInode(pid: number, fd: string): string[] {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
    return inode === undefined ? [] : [inode];
  } catch {
    // Closed since.
    return [];
  }
}

function socketsOf(pid: number): Socket[] {
  return ["tcp", "tcp6"].flatMap((family) => {
    try {
      return parseSockets(readFileSync(`/proc/${pid}/net/${family}`, "latin1"));
    } catch {
      // No such process any more, or no IPv6 here.
      return [];
    }
  });
}
