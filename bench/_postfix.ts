/** A private Postfix in a directory of its own: Debian's package, default settings, no rate limits. */

import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getpwnam } from "../qmail/users/passwd.ts";

export interface MailServer {
  readonly name: string;
  readonly port: number;
  /** Recipient of the messages. */
  readonly recipient: string;
  /** The new/ of its Maildir; may not exist before the first message. */
  readonly maildir: string;
  start(): void;
  stop(): void;
}

/** The version that `postconf` names. */
export function postfixVersion(): string {
  return execFileSync("postconf", ["-d", "-h", "mail_version"], { encoding: "utf8" }).trim();
}

/** Sets up an instance below `directory`, delivering with virtual(8), `concurrency` at once, with `more` in main.cf. */
export function makePostfix(
  directory: string,
  port: number,
  concurrency: number,
  more: Readonly<Record<string, string | number>> = {},
): MailServer {
  const owner = getpwnam("postfix");
  const nobody = getpwnam("nobody");
  if (!owner || !nobody) throw new Error("Postfix is not installed: apt-get install postfix");
  const [etc, spool, data, mail] = ["etc", "spool", "data", "mail"].map((name) =>
    join(directory, name),
  ) as [string, string, string, string];
  for (const path of [etc, spool, data, mail]) mkdirSync(path, { recursive: true });
  chownSync(data, owner.uid, owner.gid);
  // The Maildir is there from the beginning, so that it can be watched.
  for (const path of ["bench", "bench/new", "bench/cur", "bench/tmp", ""]) {
    mkdirSync(join(mail, path), { recursive: true });
    chownSync(join(mail, path), nobody.uid, nobody.gid);
  }
  const master = readFileSync("/usr/share/postfix/master.cf.dist", "utf8")
    .replace(/^smtp +inet .*$/m, `127.0.0.1:${port} inet n - n - - smtpd`)
    // Without chroot, as Postfix itself recommends.
    .replace(/^(\w+ +(?:unix|inet|fifo) +\S+ +\S+ +)y/gm, "$1n");
  writeFileSync(join(etc, "master.cf"), master);
  const settings = {
    compatibility_level: "3.6",
    queue_directory: spool,
    data_directory: data,
    mail_owner: "postfix",
    setgid_group: "postdrop",
    daemon_directory: "/usr/lib/postfix/sbin",
    shlib_directory: "/usr/lib/postfix",
    command_directory: "/usr/sbin",
    myhostname: "bench.test",
    mydestination: "",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    virtual_mailbox_domains: "bench.test",
    virtual_mailbox_base: mail,
    virtual_mailbox_maps: "static:bench/",
    virtual_uid_maps: `static:${nobody.uid}`,
    virtual_gid_maps: `static:${nobody.gid}`,
    virtual_destination_concurrency_limit: concurrency,
    initial_destination_concurrency: concurrency,
    smtpd_client_connection_count_limit: 0,
    smtpd_client_connection_rate_limit: 0,
    maillog_file: join(directory, "maillog"),
    maillog_file_prefixes: directory,
    ...more,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`);
  writeFileSync(join(etc, "main.cf"), lines.join(""));
  const postfix = (verb: string) =>
    execFileSync("postfix", ["-c", etc, verb], { stdio: ["ignore", "ignore", "ignore"] });
  return {
    name: "postfix",
    port,
    recipient: "bench@bench.test",
    maildir: join(mail, "bench/new"),
    start: () => void postfix("start"),
    stop: () => void postfix("stop"),
  };
}
