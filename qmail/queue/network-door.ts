/**
 * The door of those who may say for themselves what they put in: the network daemons, and qmail-send with its
 * bounces. They hand over the bytes of many messages at once on one link, and each keeps memory and descriptors until
 * it is queued: so all together have only so many under way.
 */

import type { Server, Socket } from "node:net";
import { QQ } from "../exit.ts";
import { type Handlers, heard } from "../net/frames.ts";
import { Link, Refusal } from "../net/link.ts";
import { Warnings } from "../warn.ts";
import type { Intake, Source } from "./intake.ts";
import { ENVELOPE_MAX, FRAME, FROM_NETWORK, formatResult } from "./protocol.ts";
import { codeOf } from "./trouble.ts";

/** Each service has one link. */
const LINKS_MAX = 100;
/** Messages under way on all links of a door: more than all services take at once, fewer than there are descriptors. */
const MESSAGES_MAX = 4000;
/** Bytes of envelopes that have not come to their end: nearly all come in one frame, and are none of these. */
const ENVELOPES_MAX = 2 * ENVELOPE_MAX;
/** A frame that has begun must be whole after this time, in milliseconds. */
const FRAME_MS = 30_000;

/** What a door needs of the queue server. */
export interface Intakes {
  nextQp(): number;
  intake(source: Source, qp: number): Intake;
}

/** A message under way. */
interface Incoming {
  readonly intake: Intake;
  readonly qp: number;
  /** What has come of its envelope. */
  readonly envelope: Buffer[];
  envelopeSize: number;
}

/** What all who come through a door have under way together. */
class Room {
  readonly warnings = new Warnings();
  messages = 0;
  envelopes = 0;
}

/** What is put in on one link. */
export class Putting {
  readonly #intakes: Intakes;
  readonly #source: Source;
  readonly #link: () => Link;
  readonly #room: Room;
  readonly #incoming = new Map<number, Incoming>();
  readonly handlers: Handlers<typeof FROM_NETWORK>;

  /** `link` is where messages come from, once it is there. */
  constructor(intakes: Intakes, source: Source, link: () => Link, room = new Room()) {
    this.#intakes = intakes;
    this.#source = source;
    this.#link = link;
    this.#room = room;
    this.handlers = {
      put: (bytes, id) => this.#of(id)?.intake.put(Buffer.from(bytes)),
      envelope: (bytes, id) => this.#envelope(this.#of(id), bytes),
      close: (bytes, id) => {
        const message = this.#of(id);
        this.#envelope(message, bytes);
        if (message && this.#incoming.delete(id)) void this.#commit(id, message);
      },
      abort: (_, id) => {
        const message = this.#incoming.get(id);
        if (!this.#incoming.delete(id) || !message) return;
        message.intake.abort();
        this.#over(message);
      },
    };
  }

  /** The link has ended: what is not closed is given up. */
  gone(): void {
    for (const message of this.#incoming.values()) {
      message.intake.abort();
      this.#over(message);
    }
    this.#incoming.clear();
  }

  /** The message `id`, a new one perhaps; undefined when the link was ended over it. */
  #of(id: number): Incoming | undefined {
    const known = this.#incoming.get(id);
    if (known) return known;
    if (this.#room.messages >= MESSAGES_MAX) {
      this.#link().refuse("more messages at once than may be");
      return undefined;
    }
    const qp = this.#intakes.nextQp();
    const intake = this.#intakes.intake(this.#source, qp);
    const message = { intake, qp, envelope: [], envelopeSize: 0 };
    this.#incoming.set(id, message);
    this.#room.messages++;
    return message;
  }

  #envelope(message: Incoming | undefined, bytes: Buffer): void {
    if (!message) return;
    if (this.#room.envelopes + bytes.length > ENVELOPES_MAX) {
      this.#link().refuse("more envelopes at once than may be");
    } else if (message.envelopeSize + bytes.length > ENVELOPE_MAX) message.intake.abort();
    else {
      message.envelope.push(Buffer.from(bytes));
      message.envelopeSize += bytes.length;
      this.#room.envelopes += bytes.length;
    }
  }

  async #commit(id: number, message: Incoming): Promise<void> {
    let code: number = QQ.ok;
    try {
      await message.intake.commit(Buffer.concat(message.envelope));
    } catch (error) {
      code = codeOf(error, this.#room.warnings);
    }
    this.#over(message);
    this.#link().send(FRAME.result, id, formatResult(code, message.qp));
  }

  #over({ envelopeSize }: Incoming): void {
    this.#room.messages--;
    this.#room.envelopes -= envelopeSize;
  }
}

export class NetworkDoor {
  readonly #intakes: Intakes;
  readonly #source: Source;
  readonly #room = new Room();

  constructor(intakes: Intakes, source: Source) {
    this.#intakes = intakes;
    this.#source = source;
  }

  prepare(server: Server): void {
    server.maxConnections = LINKS_MAX;
  }

  connected(socket: Socket): void {
    const putting = new Putting(this.#intakes, this.#source, () => link, this.#room);
    const link: Link = new Link(socket, {
      guarded: true,
      frameMs: FRAME_MS,
      hears: heard(FROM_NETWORK, putting.handlers),
      close: (error) => {
        if (error instanceof Refusal) {
          this.#room.warnings.say(
            `ended the link to a network daemon, which said ${error.message}`,
          );
        }
        putting.gone();
      },
    });
  }
}
