/** Exit codes, each known to the programs that call us. */

/** What every program of the family answers: done, try never again, try later, cannot happen. */
export const EXIT = { ok: 0, hard: 100, bug: 101, soft: 111 } as const;

/** Why qmail-lspawn could not run qmail-local (C qmail: qlx.h). */
export const QLX = {
  usage: 112,
  root: 113,
  nfs: 115,
  noAlias: 116,
  cdb: 117,
  sys: 118,
  noMemory: 119,
  execSoft: 120,
  execPw: 121,
  execHard: 126,
} as const;

/** Exit codes of qmail-queue (qmail-queue(8)). */
export const QQ = {
  ok: 0,
  addressTooLong: 11,
  rejected: 31,
  noMemory: 51,
  timeout: 52,
  writeError: 53,
  readError: 54,
  noConfig: 55,
  network: 56,
  home: 61,
  queueDir: 62,
  pidFile: 63,
  messFile: 64,
  intdFile: 65,
  todoFile: 66,
  hubRejected: 71,
  hubTimeout: 72,
  hubRefused: 73,
  hubLost: 74,
  internalBug: 81,
  customText: 82,
  badEnvelope: 91,
  /** Said for a program that could not be started. */
  cannotExec: 120,
} as const;
