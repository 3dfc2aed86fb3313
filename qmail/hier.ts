/**
 * The installation as data: every directory and queue file with its owner, group and mode. Install
 * makes it so, and tests compare it with qmail's published table (C qmail: hier.c).
 *
 * Ours besides qmail's: drop, held, run, service, log. Without doc, man and cat: nothing is put there.
 */

import type { QmailGroup, QmailUser } from "./ids.ts";
import { SPLIT } from "./queue/fmtqfn.ts";

export interface HierEntry {
  /** Relative to the qmail home; "." is the home. */
  readonly path: string;
  readonly type: "directory" | "file" | "fifo";
  readonly owner: QmailUser | "root";
  readonly group: QmailGroup;
  readonly mode: number;
  /** For a file: so many zero bytes when it is made. */
  readonly size?: number;
}

function directory(
  path: string,
  owner: HierEntry["owner"],
  mode: number,
  group: QmailGroup = "qmail",
): HierEntry {
  return { path, type: "directory", owner, group, mode };
}

function split(path: string, owner: QmailUser, mode: number): HierEntry[] {
  const numbers = Array.from({ length: SPLIT }, (_, number) => number);
  return [
    directory(path, owner, mode),
    ...numbers.map((number) => directory(`${path}/${number}`, owner, mode)),
  ];
}

/** Every entry, parents before what is in them. */
export const HIER: readonly HierEntry[] = [
  directory(".", "root", 0o755),
  directory("control", "root", 0o755),
  directory("users", "root", 0o755),
  directory("bin", "root", 0o755),
  directory("boot", "root", 0o755),
  directory("alias", "alias", 0o2755),

  directory("queue", "qmailq", 0o750),
  directory("queue/pid", "qmailq", 0o700),
  directory("queue/intd", "qmailq", 0o700),
  directory("queue/todo", "qmailq", 0o750),
  directory("queue/bounce", "qmails", 0o700),
  ...split("queue/mess", "qmailq", 0o750),
  ...split("queue/info", "qmails", 0o700),
  ...split("queue/local", "qmails", 0o700),
  ...split("queue/remote", "qmails", 0o700),
  directory("queue/lock", "qmailq", 0o750),
  {
    path: "queue/lock/tcpto",
    type: "file",
    owner: "qmailr",
    group: "qmail",
    mode: 0o644,
    size: 1024,
  },
  {
    path: "queue/lock/sendmutex",
    type: "file",
    owner: "qmails",
    group: "qmail",
    mode: 0o600,
    size: 0,
  },
  { path: "queue/lock/trigger", type: "fifo", owner: "qmails", group: "qmail", mode: 0o622 },

  // Anybody may leave a message, nobody may look; files get the group qmail.
  directory("drop", "qmailq", 0o3733),
  directory("run", "root", 0o755),
  // Here is the socket of the network daemons, which is qmaild's: queue/network-door.ts.
  directory("run/net", "root", 0o710, "nofiles"),
  directory("run/local", "qmailq", 0o755),
  // What qmail-remote has learnt of other domains.
  directory("run/remote", "qmailr", 0o700),
  // A file for each address that may relay for a while: who writes here opens relaying.
  directory("run/relay", "root", 0o755),
  // A file for each client and account that has failed to log in.
  directory("run/brakes", "qmaild", 0o700, "nofiles"),
  // Through here root asks qmail-send for actions on messages.
  directory("run/send", "qmails", 0o700),
  // Which messages are held: of a name in here qmail-send alone is the writer.
  directory("held", "qmails", 0o700),
  directory("service", "root", 0o755),
  directory("log", "root", 0o755),
];

/** A file with passwords or keys in it. */
export interface SecretFile {
  readonly path: string;
  readonly owner: QmailUser | "root";
  readonly group: QmailGroup;
  readonly mode: number;
}

/** The secrets of an installation. Whoever makes or mends one takes owner and mode from here. */
export const SECRETS: readonly SecretFile[] = [
  // The config with all that is in it, for a run without config file.
  { path: ".qmailctl.json", owner: "root", group: "qmail", mode: 0o600 },
  // qmail-remote alone logs in elsewhere, and refuses a file that others may read.
  { path: "control/remoteauth", owner: "qmailr", group: "qmail", mode: 0o600 },
  // qmail-remote, of the group nofiles, signs, and srsreverse, an alias, reads. Who of nofiles is qmaild may send anything anyway.
  { path: "control/srssecrets", owner: "alias", group: "nofiles", mode: 0o440 },
  // The login helpers are root.
  { path: "users/password", owner: "root", group: "qmail", mode: 0o600 },
];

/** What is to be known of the file `path` if it is a secret. */
export function secretFile(path: string): SecretFile | undefined {
  return SECRETS.find((secret) => secret.path === path);
}
