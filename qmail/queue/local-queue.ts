/**
 * The queue as any local user sees it: a file in drop, and a word to the server.
 *
 * With the server up the file is not synced: the server copies and syncs it before it answers. With
 * the server down the file itself is made durable, and taken in at the next start. When a qmail-send
 * that is not ours runs on the queue, see foreign.ts.
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { QQ } from "../exit.ts";
import { syncDirectory } from "../files/atomic.ts";
import { heard } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { dropName, formatTrailer } from "./drop.ts";
import { formatEnvelope, isAddress, RECIPIENTS_MAX } from "./envelope.ts";
import { programQueue } from "./program-queue.ts";
import { DROP_DIRECTORY, ENVELOPE_MAX, FRAME, FROM_SERVER, LOCAL_SOCKET } from "./protocol.ts";
import { type Qmail, type QueueDoor, type QueueResult, queueFailure } from "./qmail.ts";

/**
 * The way into the queue of the installation in `home` for whoever we are; the program in
 * `env.QMAILQUEUE` when there is one, and in a null client what it has for a qmail-queue.
 */
export function localQueue(home: string, env: NodeJS.ProcessEnv = process.env): QueueDoor {
  if (env.QMAILQUEUE) return programQueue(env.QMAILQUEUE, env);
  if (isNullClient(home)) return programQueue(join(home, "bin/qmail-queue"), env);
  return dropQueue(home);
}

/** The queue of this machine itself. */
export function dropQueue(home: string): QueueDoor {
  return { open: () => new DropQmail(home) };
}

/** A machine without a queue, whose mail goes to a hub (qmail-qmqpc(8)). */
function isNullClient(home: string): boolean {
  return !existsSync(join(home, DROP_DIRECTORY)) && existsSync(join(home, "control/qmqpservers"));
}

class DropQmail implements Qmail {
  readonly full = false;
  readonly #home: string;
  readonly #path: string;
  readonly #name = dropName();
  #fd = -1;
  #size = 0;
  #sum = 0;
  #code = 0;

  constructor(home: string) {
    this.#home = home;
    this.#path = join(home, DROP_DIRECTORY, this.#name);
    this.#attempt(QQ.pidFile, () => {
      // Others' umask must not hide the file from the queue; the directory lends it its group.
      const umask = process.umask(0o027);
      try {
        this.#fd = openSync(`${this.#path}.tmp`, "wx", 0o640);
      } finally {
        process.umask(umask);
      }
    });
    if (this.#fd < 0) this.#code = openTrouble(home);
  }

  put(bytes: Buffer): void {
    this.#size += bytes.length;
    this.#sum = crc32(bytes, this.#sum);
    this.#attempt(QQ.writeError, () => this.#write(bytes));
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  async close(sender: string, recipients: readonly string[]): Promise<QueueResult> {
    const envelope = formatEnvelope({ sender, recipients });
    const tooLong = envelope.length > ENVELOPE_MAX || recipients.length > RECIPIENTS_MAX;
    if (tooLong) this.#code ||= QQ.noMemory;
    // Without a server the file would be promised here, and never taken in there.
    if (![sender, ...recipients].every(isAddress)) this.#code ||= QQ.rejected;
    this.#attempt(QQ.writeError, () => {
      this.#write(envelope);
      const sum = crc32(envelope, this.#sum);
      this.#write(formatTrailer({ size: this.#size, envelopeSize: envelope.length, sum }));
    });
    this.#attempt(QQ.todoFile, () => renameSync(`${this.#path}.tmp`, `${this.#path}.msg`));
    if (this.#code !== 0) {
      this.abort();
      return queueFailure(this.#code);
    }
    const result = (await this.#tell()) ?? (await this.#feed()) ?? this.#leave();
    closeSync(this.#fd);
    if (!result.ok) this.#remove(".msg");
    return result;
  }

  abort(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#remove(".tmp");
  }

  #write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** What the server says of our file; null when there is no server, or it went away. */
  #tell(): Promise<QueueResult | null> {
    return new Promise((resolve) => {
      const socket = connect(join(this.#home, LOCAL_SOCKET));
      const link = new Link(socket, {
        hears: heard(FROM_SERVER, {
          result: ({ code, qp, text }) => {
            resolve(code === QQ.ok ? { ok: true, qp } : queueFailure(code, text));
            link.end();
          },
        }),
        close: () => resolve(null),
      });
      socket.on("connect", () => link.send(FRAME.drop, 1, `${this.#name}.msg`));
    });
  }

  /** No server, but perhaps a qmail-send that is not ours. */
  async #feed(): Promise<QueueResult | null> {
    // Rarely needed, and a program behind the classic door loads only what it needs.
    const { feedForeign } = await import("./foreign.ts");
    return feedForeign(this.#home, `${this.#name}.msg`);
  }

  /** No server: the file is the queue's as soon as it and its name are durable. */
  #leave(): QueueResult {
    try {
      fsyncSync(this.#fd);
      this.#syncName();
      return { ok: true, qp: process.pid };
    } catch {
      return queueFailure(QQ.writeError);
    }
  }

  /**
   * The drop directory opens for qmailq alone, so others cannot sync it. For them the fsync of the
   * file after its renaming carries the name: ext4, xfs and btrfs log both together.
   */
  #syncName(): void {
    try {
      syncDirectory(join(this.#home, DROP_DIRECTORY));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    }
  }

  #attempt(code: number, action: () => void): void {
    if (this.#code !== 0) return;
    try {
      action();
    } catch {
      this.#code = code;
    }
  }

  #remove(ending: ".tmp" | ".msg"): void {
    try {
      unlinkSync(`${this.#path}${ending}`);
    } catch {
      // Taken in or never made; what stays by accident is removed by the queue server in time.
    }
  }
}

/** Why no file can be made in drop: the home is not there, the directory is not, or it takes no file. */
function openTrouble(home: string): number {
  if (!isDirectory(home)) return QQ.home;
  return isDirectory(join(home, DROP_DIRECTORY)) ? QQ.pidFile : QQ.queueDir;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
