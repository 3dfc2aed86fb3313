/**
 * The key keeper: reads certificates and keys as root for a service that has given root up, so that a key is root's alone
 * and a renewed one is in use without a restart.
 *
 * A shell that waits on a pipe: that costs less than a megabyte. What it reads is fixed when it is started; it is told no
 * more than "now", and ends with its service.
 */

import { type ChildProcess, spawn } from "node:child_process";

/** Of each file its text and a NUL; a 1 before that says that the text is why there is none. */
const SCRIPT =
  "while read -r now; do for file; do cat -- \"$file\" 2>&1 || printf '\\001'; printf '\\000'; done; done";
const END = 0;
const FAILED = "\x01";
/** More than this is no certificate with its chain and its key. */
const SIZE_MAX = 1 << 20;

/** A file's text as a byte string, or why it cannot be read. */
export type FileText = { readonly text: string } | { readonly trouble: string };

export class KeyKeeper {
  readonly #files: readonly string[];
  readonly #child: ChildProcess;
  readonly #lost: () => void;
  #chunks: Buffer[] = [];
  #size = 0;
  #ends = 0;
  #answer: ((texts: FileText[]) => void) | null = null;
  #asked: Promise<FileText[]> | null = null;

  /** To be started as root. `lost` is called when it has gone before us: nothing is read anew any more. */
  constructor(files: readonly string[], lost: () => void) {
    this.#files = files;
    this.#lost = lost;
    this.#child = spawn("/bin/sh", ["-c", SCRIPT, "qmail-keys", ...files], {
      argv0: "qmail-keys",
      stdio: ["pipe", "pipe", "ignore"],
      env: { PATH: "/usr/bin:/bin" },
    });
    this.#child.stdin?.on("error", () => {});
    this.#child.stdout?.on("error", () => {}).on("data", (chunk: Buffer) => this.#hear(chunk));
    this.#child.on("error", () => this.#lost());
    this.#child.on("exit", () => this.#lost());
  }

  /** The texts of all files as they are now, in their order. Who asks meanwhile gets the same. */
  read(): Promise<FileText[]> {
    this.#asked ??= new Promise((resolve) => {
      this.#answer = resolve;
      this.#child.stdin?.write("now\n");
    });
    return this.#asked;
  }

  /** It has nothing more to do. */
  end(): void {
    this.#child.stdin?.end();
  }

  #hear(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    for (const byte of chunk) if (byte === END) this.#ends++;
    // No key, but something without end, or with NULs: it has no place in a config.
    if (this.#size > SIZE_MAX * this.#files.length || this.#ends > this.#files.length) {
      // To kill what is root's is not ours.
      this.#child.stdin?.destroy();
      this.#child.stdout?.destroy();
    } else if (this.#ends === this.#files.length) this.#done();
  }

  #done(): void {
    const texts = Buffer.concat(this.#chunks).toString("latin1").split("\0").slice(0, -1);
    this.#chunks = [];
    this.#size = 0;
    this.#ends = 0;
    this.#asked = null;
    this.#answer?.(texts.map(fileText));
  }
}

function fileText(text: string): FileText {
  return text.endsWith(FAILED) ? { trouble: text.slice(0, -1).trim() } : { text };
}
