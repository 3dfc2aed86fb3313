/** Why a system call failed, in the words that D. J. Bernstein's programs use. */

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "access denied",
  EADDRINUSE: "address already used",
  EADDRNOTAVAIL: "address not available",
  EEXIST: "file already exists",
  EISDIR: "is a directory",
  ENOENT: "file does not exist",
  ENOSPC: "out of disk space",
  ENOTDIR: "not a directory",
  EPERM: "permission denied",
  EROFS: "read-only file system",
  ETIMEDOUT: "operation timed out",
};

/** The reason in `error`; its message when it is none of the system's. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return WORDS[code ?? ""] ?? message.replace(/^[A-Z]+: ([^,]*).*$/, "$1");
}
