/**
 * Certificates of a server: from files, read anew when they have changed, chosen by the name that the
 * client asks for (SNI).
 *
 * Files are looked at when a handshake begins, not watched: renewal tools move links and directories,
 * which a watch on a file does not see.
 */

import { X509Certificate } from "node:crypto";
import { readFileSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { exposure } from "../files/secret.ts";

/** Changes of the files are looked for at most so often. */
const LOOK_MS = 1000;

/** A certificate with its chain, and its private key; PEM, perhaps both in one file. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** As whom we read, for error texts. */
export interface DaemonUser {
  readonly name: string;
  readonly group: string;
}

export interface CertificatesOptions {
  readonly user: DaemonUser;
  /** The first is for clients that ask for no name, or for one that is in none. */
  readonly files: readonly CertificateFiles[];
  /** Hears of files that became unusable; the certificates read before stay in use. */
  warn(text: string): void;
  /** Milliseconds; for tests. */
  now?(): number;
}

interface Loaded {
  readonly context: SecureContext;
  readonly leaf: X509Certificate;
  readonly stamp: string;
}

export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #loaded: Loaded[];
  #looked: number;

  /** Reads the files as whoever we are. Throws an Error for a person when that cannot be done. */
  constructor(options: CertificatesOptions) {
    this.#options = options;
    this.#loaded = options.files.map((files) => load(files, options.user));
    this.#looked = this.#now();
    for (const files of options.files) this.#warnOfOpenKey(files);
  }

  #warnOfOpenKey({ key }: CertificateFiles): void {
    const stat = statOrNull(key);
    const why = stat && exposure(stat);
    if (why) this.#options.warn(`the key "${key}" is no secret: ${why}`);
  }

  /** Begins TLS as the server on `stream`. */
  secure(stream: Duplex): TLSSocket {
    this.#refresh();
    const socket = new TLSSocket(stream as ConstructorParameters<typeof TLSSocket>[0], {
      isServer: true,
      secureContext: this.#context(""),
      SNICallback: (name, done) => done(null, this.#context(name)),
    });
    // TLS 1.2 lets a client ask for handshake upon handshake, which costs us more than him.
    socket.disableRenegotiation();
    return socket;
  }

  #context(name: string): SecureContext {
    const [first, ...others] = this.#loaded as [Loaded, ...Loaded[]];
    const all = [first, ...others];
    const match = name === "" ? undefined : all.find(({ leaf }) => leaf.checkHost(name));
    return (match ?? first).context;
  }

  #refresh(): void {
    const now = this.#now();
    if (now - this.#looked < LOOK_MS) return;
    this.#looked = now;
    const { files, user, warn } = this.#options;
    for (const [at, pair] of files.entries()) {
      const old = this.#loaded[at] as Loaded;
      const stamp = stampOf(pair);
      if (stamp === old.stamp) continue;
      try {
        this.#loaded[at] = load(pair, user);
        this.#warnOfOpenKey(pair);
      } catch (error) {
        // Kept with the new stamp: said once for each state of the files.
        this.#loaded[at] = { ...old, stamp };
        warn(`${(error as Error).message}; the certificate read before stays in use`);
      }
    }
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}

function load(files: CertificateFiles, user: DaemonUser): Loaded {
  const stamp = stampOf(files);
  const cert = read("certificate", files.certificate, user);
  const key = read("key", files.key, user);
  try {
    const context = createSecureContext({ cert, key, minVersion: "TLSv1.2" });
    return { context, leaf: new X509Certificate(cert), stamp };
  } catch (error) {
    const { reason, message } = error as { reason?: string; message: string };
    throw new Error(
      `cannot use the certificate "${files.certificate}" with the key "${files.key}": ${reason ?? message}`,
      { cause: error },
    );
  }
}

function read(what: "certificate" | "key", path: string, user: DaemonUser): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "EACCES" ? closed(path, user) : message;
    throw new Error(`cannot read the ${what} "${path}" as ${user.name}: ${why}`, { cause: error });
  }
}

/** Which file or directory on the way to `path` is closed to us, and how to open it. */
function closed(path: string, { group }: DaemonUser): string {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    const stat = statOrNull(at);
    if (!stat) continue;
    const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
    const open = stat.isDirectory() ? "g+x" : "g+r";
    return (
      `"${at}" belongs to uid ${stat.uid} and gid ${stat.gid} with mode ${mode}; ` +
      `open it: chgrp ${group} "${at}" && chmod ${open} "${at}"`
    );
  }
  return "permission denied";
}

function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** What changes when a file is replaced or written. */
function stampOf({ certificate, key }: CertificateFiles): string {
  return [certificate, key].map(stampOfFile).join(" ");
}

function stampOfFile(path: string): string {
  const stat = statOrNull(path);
  return stat ? `${stat.ino}:${stat.size}:${stat.mtimeMs}` : "none";
}
