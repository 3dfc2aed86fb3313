/**
 * The programs: their names as everybody knows them and the files they are.
 *
 * Sources run as TypeScript, the published package as JavaScript; which of the two this is shows in
 * the name of this very file.
 */

import { fileURLToPath } from "node:url";

const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

export interface Program {
  /** Source file below qmail/, without extension. */
  readonly file: string;
  /** Mode of its launcher in $QMAIL/bin: qmail's, but readable, since it is a script, and never setuid. */
  readonly mode: number;
}

/** What install puts into $QMAIL/bin. */
export const PROGRAMS = {
  "qmail-start": { file: "qmail-start", mode: 0o700 },
  "qmail-queue": { file: "queue/qmail-queue", mode: 0o755 },
  "qmail-inject": { file: "inject/qmail-inject", mode: 0o755 },
  sendmail: { file: "inject/sendmail", mode: 0o755 },
  "qmail-newmrh": { file: "smtpd/qmail-newmrh", mode: 0o755 },
  "qmail-smtpd": { file: "smtpd/qmail-smtpd", mode: 0o755 },
  ofmipd: { file: "ofmipd/ofmipd", mode: 0o755 },
  ofmipname: { file: "ofmipd/ofmipname", mode: 0o755 },
  "qmail-local": { file: "local/qmail-local", mode: 0o755 },
  "qmail-remote": { file: "remote/qmail-remote", mode: 0o755 },
  "qmail-qmqpc": { file: "qmqpd/qmail-qmqpc", mode: 0o755 },
  "qmail-qmqpd": { file: "qmqpd/qmail-qmqpd", mode: 0o755 },
  "qmail-qmtpd": { file: "qmtpd/qmail-qmtpd", mode: 0o755 },
  "qmail-tcpto": { file: "remote/qmail-tcpto", mode: 0o755 },
  "qmail-tcpok": { file: "remote/qmail-tcpok", mode: 0o755 },
  "qmail-getpw": { file: "users/qmail-getpw", mode: 0o755 },
  "qmail-newu": { file: "users/qmail-newu", mode: 0o700 },
  "qmail-pw2u": { file: "users/qmail-pw2u", mode: 0o755 },
  "qmail-qread": { file: "queue/qmail-qread", mode: 0o755 },
  "qmail-qstat": { file: "queue/qmail-qstat", mode: 0o755 },
  "qmail-showctl": { file: "showctl/qmail-showctl", mode: 0o755 },
  forward: { file: "inject/forward", mode: 0o755 },
  mailsubj: { file: "inject/mailsubj", mode: 0o755 },
  datemail: { file: "inject/datemail", mode: 0o755 },
  predate: { file: "inject/predate", mode: 0o755 },
  qreceipt: { file: "inject/qreceipt", mode: 0o755 },
  srsreverse: { file: "srs/srsreverse", mode: 0o755 },
  tcpserver: { file: "tcpserver/tcpserver", mode: 0o755 },
  "tcp-env": { file: "tcpserver/tcp-env", mode: 0o755 },
  recordio: { file: "tcpserver/recordio", mode: 0o755 },
  tcprules: { file: "tcpserver/tcprules", mode: 0o755 },
  tcprulescheck: { file: "tcpserver/tcprulescheck", mode: 0o755 },
  checkpassword: { file: "checkpassword/checkpassword", mode: 0o755 },
  "qmail-popup": { file: "pop3d/qmail-popup", mode: 0o755 },
  "qmail-pop3d": { file: "pop3d/qmail-pop3d", mode: 0o755 },
  condredirect: { file: "local/condredirect", mode: 0o755 },
  bouncesaying: { file: "local/bouncesaying", mode: 0o755 },
  except: { file: "local/except", mode: 0o755 },
  preline: { file: "local/preline", mode: 0o755 },
  qbiff: { file: "local/qbiff", mode: 0o755 },
  maildirmake: { file: "maildir/maildirmake", mode: 0o755 },
  maildir2mbox: { file: "maildir/maildir2mbox", mode: 0o755 },
  maildirwatch: { file: "maildir/maildirwatch", mode: 0o755 },
  elq: { file: "maildir/elq", mode: 0o755 },
  pinq: { file: "maildir/pinq", mode: 0o755 },
  qail: { file: "maildir/qail", mode: 0o755 },
  "dot-forward": { file: "forward/dot-forward", mode: 0o755 },
  fastforward: { file: "forward/fastforward", mode: 0o755 },
  newaliases: { file: "forward/newaliases", mode: 0o755 },
  newinclude: { file: "forward/newinclude", mode: 0o755 },
  printforward: { file: "forward/printforward", mode: 0o755 },
  printmaillist: { file: "forward/printmaillist", mode: 0o755 },
  setforward: { file: "forward/setforward", mode: 0o755 },
  setmaillist: { file: "forward/setmaillist", mode: 0o755 },
  vacation: { file: "vacation/vacation", mode: 0o755 },
  splogger: { file: "multilog/splogger", mode: 0o755 },
  matchup: { file: "log/matchup", mode: 0o755 },
  multilog: { file: "multilog/multilog", mode: 0o755 },
} as const satisfies Record<string, Program>;

/** What install puts into $QMAIL/bin of a null client: its qmail-queue hands mail to a hub. */
export const CLIENT_PROGRAMS = {
  "qmail-queue": PROGRAMS["qmail-qmqpc"],
  "qmail-qmqpc": PROGRAMS["qmail-qmqpc"],
  "qmail-inject": PROGRAMS["qmail-inject"],
  sendmail: PROGRAMS.sendmail,
  forward: PROGRAMS.forward,
  mailsubj: PROGRAMS.mailsubj,
  datemail: PROGRAMS.datemail,
  predate: PROGRAMS.predate,
  qreceipt: PROGRAMS.qreceipt,
} as const satisfies Record<string, Program>;

/** The absolute path of the source or compiled file `file` ("send/qmail-send") below qmail/. */
export function programPath(file: string): string {
  return fileURLToPath(new URL(`./${file}${EXTENSION}`, import.meta.url));
}

/** Without it whoever has the uid of a process may have its debugger listen, for all on the machine. The launchers have it too. */
const NO_DEBUGGER = "--disable-sigusr1";

/** Node's arguments for a process of ours: it runs the program `path` with `args`, and `execArgv` says what it may do. */
export function nodeArguments(
  path: string,
  args: readonly string[] = [],
  execArgv: readonly string[] = [],
): string[] {
  return [NO_DEBUGGER, ...execArgv, path, ...args];
}

/** What a process may do with files: paths, of directories with all that is in them. */
export interface FileAccess {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/**
 * Node's arguments for a process that may do no more with files than `access` says, besides reading its code, and start no
 * program, thread or addon at all (Node's permission model).
 */
export function permissionArguments({ reads, writes }: FileAccess): string[] {
  return [
    "--permission",
    ...[...codeDirectories(), ...reads].map((path) => `--allow-fs-read=${path}`),
    ...writes.map((path) => `--allow-fs-write=${path}`),
  ];
}

/** Where our code and what it imports may lie: npm puts the dependencies of a package into it, or beside it. */
function codeDirectories(): string[] {
  const home = fileURLToPath(new URL(EXTENSION === ".ts" ? ".." : "../..", import.meta.url));
  const at = home.lastIndexOf("/node_modules/");
  return at < 0 ? [home] : [home, home.slice(0, at + "/node_modules/".length)];
}
