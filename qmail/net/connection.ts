/**
 * A conversation on a pair of streams: a socket, or descriptors 0 and 1; in plain text, in TLS, or
 * first the one and then the other. A protocol's session sees bytes and says text, and knows no stream.
 */

import type { EventEmitter } from "node:events";
import { Duplex, type Readable, type Writable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { Deadline, HURRY_MS } from "./deadline.ts";

/** After the last reply a client gets so long to take it and close. */
const LINGER_MS = 5000;
/** The same, for one whose place another needs. */
const SENT_AWAY_MS = 500;
/** A TLS handshake that takes longer is given up. */
const HANDSHAKE_MS = 60_000;

/** What TLS has agreed on. */
export interface TlsState {
  /** As `TLSv1.3`. */
  readonly protocol: string;
  readonly cipher: string;
  /** The name that the client asked for; null when it asked for none. */
  readonly servername: string | null;
}

/** One conversation of a protocol. */
export interface Conversation {
  readonly ended: boolean;
  /** Says the first word. */
  greet(): void;
  /** Bytes from the client, which are given away. */
  receive(chunk: Buffer): void;
  /** The client sends no more, but may still listen. */
  inputEnd(): void;
  /** The connection is gone; `why` when TLS has failed. */
  lost(why?: string): void;
  /** The time that was allowed is up. */
  timeout(): void;
  /** TLS, which was asked for with `startTls`, is there; or was from the beginning, before `greet`. */
  secured(tls: TlsState): void;
  /** To end as soon as nothing is under way. */
  stop(): void;
  /** What was written has gone out: more may be. */
  drained?(): void;
  /** To end at once, whatever is under way: the place is needed. */
  sendAway?(): void;
  /** What is under way is not to be hurried, nor broken off because the place is needed. */
  readonly busy?: boolean;
}

/** What carries the conversation. */
export interface Wire {
  /** A byte string or bytes. False: wait for `drained` before you write more. */
  write(data: string | Uint8Array): boolean;
  /** Everything is said: flush and close. `clean` is for the exit code of a program. */
  end(clean: boolean): void;
  /** False: no more input for now; true: go on. */
  flow(open: boolean): void;
  /** All that follows is TLS; nothing of it has been read yet. */
  startTls(): void;
  /** The client has so many milliseconds from now on, until `timeout`; Infinity: it is not waited for. */
  allow(ms: number): void;
  /** The client has earned so many milliseconds more, but not more than `most` from now on. */
  extend(ms: number, most: number): void;
}

export interface Ends {
  readonly input: Readable;
  /** May be the same stream as `input`. */
  readonly output: Writable;
  /** Closes the output when it is written out. */
  finish(clean: boolean): void;
  /** Closes both, whatever is still in them. */
  destroy(): void;
}

export interface ConnectionOptions {
  readonly ends: Ends;
  /** Puts TLS on a stream; absent where there is no certificate. */
  readonly secure?: (stream: Duplex) => TLSSocket;
  /** TLS from the first byte on. */
  readonly tlsFirst?: boolean;
  /** True while places are short, and there is less time for a handshake. */
  readonly short?: () => boolean;
}

/** The ends of a socket. */
export function socketEnds(socket: Duplex): Ends {
  return {
    input: socket,
    output: socket,
    finish: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

/** Carries one conversation from its greeting to its end. */
export class Connection implements Wire {
  readonly #options: ConnectionOptions;
  readonly #conversation: Conversation;
  readonly #deadline = new Deadline(() => this.#timeout());
  #ends: Ends;
  #detach: () => void = () => {};
  /** The conversation wants input. */
  #open = true;
  #handshake = false;
  /** Everything is said; the client is given time to take it. */
  #lingering = false;

  /** Begins to talk at once. `begin` makes the conversation that this wire carries. */
  constructor(options: ConnectionOptions, begin: (wire: Wire) => Conversation) {
    this.#options = options;
    this.#ends = options.ends;
    this.#conversation = begin(this);
    if (options.tlsFirst) this.#secure();
    else {
      this.#attach();
      this.#conversation.greet();
    }
  }

  write(data: string | Uint8Array): boolean {
    const { output } = this.#ends;
    if (output.destroyed || output.writableEnded) return true;
    const room = typeof data === "string" ? output.write(data, "latin1") : output.write(data);
    // A client that does not read its replies gets no more of them.
    if (!room) this.#regulate();
    return room;
  }

  end(clean: boolean): void {
    const { input, output } = this.#ends;
    if (output.destroyed) {
      this.#deadline.close();
      return;
    }
    // What the client still sends is read and dropped: unread, it would make TCP drop our reply.
    this.#open = true;
    input.resume();
    this.#ends.finish(clean);
    this.#lingering = true;
    this.#deadline.allow(LINGER_MS);
  }

  flow(open: boolean): void {
    this.#open = open;
    this.#regulate();
  }

  startTls(): void {
    this.#secure();
  }

  allow(ms: number): void {
    if (!this.#lingering) this.#deadline.allow(ms);
  }

  extend(ms: number, most: number): void {
    if (!this.#lingering) this.#deadline.extend(ms, most);
  }

  /** Ends the conversation, when a message is under way, behind it. */
  stop(): void {
    this.#conversation.stop();
  }

  /** When the client's time is up: the slower it is the sooner. Infinity: it is not to be broken off. */
  get due(): number {
    return this.#conversation.busy ? Number.POSITIVE_INFINITY : this.#deadline.due;
  }

  /** No more than so many milliseconds are left for what the client is to say. */
  hurry(ms: number): void {
    if (!this.#conversation.busy) this.#deadline.hurry(ms);
  }

  /** Ends the conversation at once: the place is needed. */
  sendAway(): void {
    this.#conversation.sendAway?.();
    this.#deadline.hurry(SENT_AWAY_MS);
  }

  #attach(): void {
    const { input, output } = this.#ends;
    const conversation = this.#conversation;
    const undo: (() => void)[] = [];
    const on = <T extends unknown[]>(
      stream: Readable | Writable,
      event: string,
      listener: (...args: T) => void,
    ) => {
      (stream as EventEmitter).on(event, listener as (...args: unknown[]) => void);
      undo.push(() =>
        (stream as EventEmitter).off(event, listener as (...args: unknown[]) => void),
      );
    };
    on(input, "data", (chunk: Buffer) => conversation.receive(chunk));
    on(input, "end", () => conversation.inputEnd());
    on(output, "drain", () => this.#drained());
    for (const stream of new Set<Readable | Writable>([input, output])) {
      on(stream, "error", (error: Error) => this.#failed(error));
      // An input of its own that has ended is no reason: the client may still listen.
      on(stream, "close", () => {
        if (stream === output || !input.readableEnded) this.#closed();
      });
    }
    this.#detach = () => {
      for (const off of undo) off();
    };
    this.#regulate();
  }

  #drained(): void {
    this.#conversation.drained?.();
    this.#regulate();
  }

  /** Puts TLS between the conversation and the streams that it had. */
  #secure(): void {
    const { secure } = this.#options;
    if (!secure) throw new Error("there is no certificate to begin TLS with");
    const plain = this.#ends;
    this.#detach();
    const { input, output } = plain;
    const stream =
      input === (output as unknown)
        ? (input as Duplex)
        : Duplex.from({ readable: input, writable: output });
    for (const end of new Set([input, output])) end.on("error", () => {});
    const socket = secure(stream);
    this.#handshake = true;
    this.#deadline.allow(this.#options.short?.() ? HURRY_MS : HANDSHAKE_MS);
    socket.once("secure", () => {
      this.#handshake = false;
      this.#conversation.secured(tlsState(socket));
      if (this.#options.tlsFirst) this.#conversation.greet();
    });
    this.#ends = {
      input: socket,
      output: socket,
      finish(clean) {
        // Of a pair of streams the output must not be closed before the last of TLS is in it.
        socket.end(() => {
          if (stream !== (input as unknown)) plain.finish(clean);
        });
      },
      destroy() {
        socket.destroy();
        plain.destroy();
      },
    };
    this.#open = true;
    this.#attach();
  }

  #regulate(): void {
    const { input, output } = this.#ends;
    if (this.#open && (this.#conversation.ended || !output.writableNeedDrain)) input.resume();
    else input.pause();
  }

  #timeout(): void {
    if (this.#lingering) this.#ends.destroy();
    else if (this.#handshake) this.#failed(new Error("handshake timeout"));
    else this.#conversation.timeout();
  }

  #failed(error: Error): void {
    if (this.#handshake) this.#conversation.lost(`tls: ${tlsTrouble(error)}`);
    this.#ends.destroy();
  }

  #closed(): void {
    this.#deadline.close();
    this.#conversation.lost();
  }
}

function tlsState(socket: TLSSocket): TlsState {
  const { servername } = socket as { servername?: string | false | null };
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().name,
    servername: servername || null,
  };
}

/** OpenSSL's reason without its source positions. */
function tlsTrouble(error: Error): string {
  const { reason, code } = error as { reason?: string; code?: string };
  return reason ?? code ?? error.message;
}
