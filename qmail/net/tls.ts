/**
 * Certificates of a server: from files, read anew when they have changed, chosen by the name that the
 * client asks for (SNI).
 *
 * Files are looked at when a handshake begins, not watched: renewal tools move links and directories,
 * which a watch on a file does not see. Who begins as root has a helper that looks (key-keeper.ts): the keys are root's.
 */

import { X509Certificate } from "node:crypto";
import { readFileSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { exposure, exposureBesideRoot, keyAdvice } from "../files/secret.ts";
import type { FileText, KeyKeeper } from "./key-keeper.ts";

/** Changes of the files are looked for at most so often; by a helper more rarely. */
const LOOK_MS = 1000;
const ASK_MS = 10_000;

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
  /** Reads them, certificate and key of each in turn, when they may have changed; absent: we do. */
  readonly keeper?: Pick<KeyKeeper, "read">;
  /** Hears of files that became unusable; the certificates read before stay in use. */
  warn(text: string): void;
  /** Milliseconds; for tests. */
  now?(): number;
}

interface Loaded {
  readonly context: SecureContext;
  readonly leaf: X509Certificate;
  /** Differs when the files do. */
  readonly stamp: string;
}

/** PEM. */
interface Texts {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #loaded: Loaded[];
  #looked: number;

  /** Reads the files as whoever we are. Throws an Error for a person when that cannot be done. */
  constructor(options: CertificatesOptions) {
    this.#options = options;
    this.#loaded = options.files.map((files) => {
      const stamp = stampOf(files);
      const texts = read(files, options.user);
      return { ...load(files, texts), stamp: options.keeper ? stampOfTexts(texts) : stamp };
    });
    this.#looked = this.#now();
    for (const files of options.files) this.#warnOfOpenKey(files);
  }

  #warnOfOpenKey({ key }: CertificateFiles): void {
    const { keeper, warn } = this.#options;
    const stat = statOrNull(key);
    const why = stat && (keeper ? exposureBesideRoot(stat) : exposure(stat));
    if (why) warn(`the key "${key}" is no secret: ${keeper ? keyAdvice(key, why) : why}`);
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

  /** Looks for changes now. */
  reread(): void {
    this.#looked = Number.NEGATIVE_INFINITY;
    this.#refresh();
  }

  #context(name: string): SecureContext {
    const [first, ...others] = this.#loaded as [Loaded, ...Loaded[]];
    const all = [first, ...others];
    const match = name === "" ? undefined : all.find(({ leaf }) => leaf.checkHost(name));
    return (match ?? first).context;
  }

  #refresh(): void {
    const { keeper } = this.#options;
    const now = this.#now();
    if (now - this.#looked < (keeper ? ASK_MS : LOOK_MS)) return;
    this.#looked = now;
    if (keeper) void keeper.read().then((texts) => this.#heard(texts));
    else this.#look();
  }

  #look(): void {
    const { files, user } = this.#options;
    for (const [at, pair] of files.entries()) {
      this.#renew(at, stampOf(pair), () => read(pair, user));
    }
  }

  #heard(texts: readonly FileText[]): void {
    for (const at of this.#options.files.keys()) {
      const [cert, key] = [texts[2 * at], texts[2 * at + 1]] as [FileText, FileText];
      this.#renew(at, JSON.stringify([cert, key]), () => {
        return { cert: textOf("certificate", cert), key: textOf("key", key) };
      });
    }
  }

  /** Takes what `read` says for the pair with the number `at`, unless its stamp is as before. */
  #renew(at: number, stamp: string, read: () => Texts): void {
    const { files, warn } = this.#options;
    const [pair, old] = [files[at] as CertificateFiles, this.#loaded[at] as Loaded];
    if (stamp === old.stamp) return;
    try {
      this.#loaded[at] = { ...load(pair, read()), stamp };
      this.#warnOfOpenKey(pair);
    } catch (error) {
      // Kept with the new stamp: said once for each state of the files.
      this.#loaded[at] = { ...old, stamp };
      warn(`${(error as Error).message}; the certificate read before stays in use`);
    }
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}

function load(files: CertificateFiles, { cert, key }: Texts): Omit<Loaded, "stamp"> {
  try {
    const context = createSecureContext({ cert, key, minVersion: "TLSv1.2" });
    return { context, leaf: new X509Certificate(cert) };
  } catch (error) {
    const { reason, message } = error as { reason?: string; message: string };
    throw new Error(
      `cannot use the certificate "${files.certificate}" with the key "${files.key}": ${reason ?? message}`,
      { cause: error },
    );
  }
}

function read({ certificate, key }: CertificateFiles, user: DaemonUser): Texts {
  return {
    cert: readOne("certificate", certificate, user),
    key: readOne("key", key, user),
  };
}

function textOf(what: "certificate" | "key", file: FileText): string {
  if ("text" in file) return file.text;
  throw new Error(`cannot read the ${what} as root: ${file.trouble}`);
}

/** As of what a helper has read. */
function stampOfTexts({ cert, key }: Texts): string {
  return JSON.stringify([cert, key].map((text) => ({ text: text.toString("latin1") })));
}

function readOne(what: "certificate" | "key", path: string, user: DaemonUser): Buffer {
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
