/** A local delivery that did not work: temporary or for good, with the text of the report. */

export class DeliveryFailure extends Error {
  readonly status: "Z" | "D";

  constructor(status: "Z" | "D", text: string) {
    super(text);
    this.status = status;
  }
}

/** Temporary trouble. `text` is one or more whole lines. */
export function temporary(text: string): DeliveryFailure {
  return new DeliveryFailure("Z", text);
}

/** What qmail says of the errors that files give (C qmail: error_str.c). */
const TEXTS: Readonly<Record<string, string>> = {
  EACCES: "access denied",
  EBUSY: "device busy",
  EDQUOT: "disk quota exceeded",
  EEXIST: "file already exists",
  EFBIG: "file too big",
  EINVAL: "invalid argument",
  EIO: "input/output error",
  EISDIR: "is a directory",
  ELOOP: "symbolic link loop",
  EMFILE: "process cannot open more files",
  ENAMETOOLONG: "file name too long",
  ENFILE: "system cannot open more files",
  ENOENT: "file does not exist",
  ENOLCK: "no locks available",
  ENOMEM: "out of memory",
  ENOSPC: "out of disk space",
  ENOTDIR: "not a directory",
  ENXIO: "device not configured",
  EPERM: "permission denied",
  EPIPE: "broken pipe",
  EROFS: "read-only file system",
  ESTALE: "stale NFS file handle",
  ETIMEDOUT: "timed out",
  ETXTBSY: "text busy",
};

/** What is said of the system's error `error`: "file does not exist". */
export function systemText(error: unknown): string {
  const code = errorCode(error);
  return TEXTS[code] ?? (error as Error).message.replace(/[\n\0]/g, " ");
}

/** Node does not know ESTALE and calls it by its number. */
const UNNAMED: Readonly<Record<string, string>> = {
  "Unknown system error -116": "ESTALE",
  "Unknown system error -122": "EDQUOT",
  "Unknown system error -37": "ENOLCK",
};

function errorCode(error: unknown): string {
  const { code = "" } = error as NodeJS.ErrnoException;
  return UNNAMED[code] ?? code;
}

const ABSENT = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"]);

/** Whether `error` says for certain that there is no such file: anything else may pass. */
export function isAbsent(error: unknown): boolean {
  return ABSENT.has(errorCode(error));
}

/** Errors that are nobody's fault for good (C qmail: error_temp.c). */
const PASSING = new Set(
  (
    "EINTR ENOMEM ETXTBSY EIO ETIMEDOUT EAGAIN EDEADLK EBUSY ENFILE EMFILE EFBIG ENOSPC ENETDOWN " +
    "ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS ETOOMANYREFS ECONNREFUSED EHOSTDOWN " +
    "EHOSTUNREACH EUSERS EDQUOT ESTALE ENOLCK"
  ).split(" "),
);

/** Whether `error` of the system may pass. */
export function isPassing(error: unknown): boolean {
  return PASSING.has(errorCode(error));
}
