/**
 * The long-lived qmail-queue: takes in messages for all who have no process of their own to spend on
 * one, and is qmail-clean too. Runs as qmailq, the only user that can write mess/, intd/ and todo/.
 *
 * Descriptor 3 is the link to qmail-send. The doors open when qmail-send says that it reads, and the process
 * ends when that link ends: an accepted message always has a sender. Descriptor 4 is lock/sendmutex, which
 * qmail-send shares with us: no other qmail-send begins as long as one of us lives.
 *
 * A message is removed only by its name, which is a number and which message of that number it is (made.ts), and never
 * while it is on its way in.
 */

import { chmodSync, rmSync, statSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { EXIT, QQ } from "../exit.ts";
import { become } from "../files/become.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import { qmailHome } from "../home.ts";
import { type Ids, readIds } from "../ids.ts";
import { Link } from "../net/link.ts";
import { Drops } from "./drop.ts";
import { Entering } from "./entering.ts";
import { Intake, type IntakeContext, type Queued, QueueError, type Source } from "./intake.ts";
import { removeLeftovers } from "./leftovers.ts";
import { MadeClock, madeTick } from "./made.ts";
import { NetworkDoor } from "./network-door.ts";
import {
  ENVELOPE_MAX,
  FRAME,
  formatFresh,
  formatName,
  formatResult,
  LOCAL_SOCKET,
  type MessageName,
  parseName,
} from "./protocol.ts";
import { type CleanType, Removal } from "./removal.ts";

const QUEUE = "queue";
/** A longer todo file is not sent along: qmail-send reads it. */
const FRESH_MAX = 64 * 1024;
/** From one look at what crashes left to the next. */
const LEFTOVERS_MS = 24 * 3600 * 1000;

class QueueServer {
  readonly #ids: Ids;
  readonly #context: IntakeContext;
  readonly #entering = new Entering();
  readonly #removal: Removal;
  readonly #drops: Drops;
  readonly #send: Link;
  readonly #network: NetworkDoor;
  /** Messages taken back that qmail-send is asked about. */
  readonly #retracting = new Map<number, (unknown: boolean) => void>();
  #lastRetract = 0;
  #qp = process.pid;
  #unannounced = false;
  #takingDrops = false;

  constructor(ids: Ids, sendSocket: Socket, network: NetworkDoor) {
    this.#ids = ids;
    this.#network = network;
    const sync = new GroupSync();
    const made = new MadeClock();
    const carriesName = fsyncCarriesName(QUEUE);
    this.#context = {
      queue: QUEUE,
      fsyncCarriesName: carriesName,
      sync,
      made,
      entering: this.#entering,
      now: () => Math.floor(Date.now() / 1000),
      queued: (queued) => this.#announce(queued),
      retract: (message) => this.#retract(message),
    };
    this.#removal = new Removal({
      queue: QUEUE,
      fsyncCarriesName: carriesName,
      sync,
      entering: this.#entering,
      tickMs: madeTick(QUEUE, made),
    });
    this.#drops = new Drops(this.#context, ids);
    const bounce = new Door(this, { uid: ids.uid.qmails, how: "for bounce", bounce: true });
    this.#send = new Link(sendSocket, {
      frame: (type, id, payload) => {
        if (type === FRAME.open) void this.#open();
        else if (type === FRAME.drops) void this.#takeDrops();
        else if (type === FRAME.retracted) this.#retracted(id, payload.toString("latin1") === "+");
        else if (isClean(type)) void this.#clean(type, id, parseName(payload));
        else bounce.frame(this.#send, type, id, payload);
      },
      close: () => this.#exit(),
    });
  }

  nextQp(): number {
    this.#qp = this.#qp >= 0x7fffffff ? 1 : this.#qp + 1;
    return this.#qp;
  }

  intake(source: Source, qp: number): Intake {
    return new Intake(this.#context, source, qp);
  }

  /** Takes in the dropped file `name` and tells qmail-send. Throws QueueError. */
  takeDrop(name: string, qp: number): Promise<void> {
    return this.#drops.take(name, qp);
  }

  #announce(queued: Queued): void {
    if (this.#send.full || queued.todo.length > FRESH_MAX) {
      // qmail-send is behind: it reads the directory when it has caught up.
      if (this.#unannounced) return;
      this.#unannounced = true;
      void this.#send.drained().then(() => {
        this.#unannounced = false;
        this.#send.send(FRAME.scan, 0);
      });
      return;
    }
    this.#send.send(FRAME.fresh, 0, formatFresh(queued));
  }

  /** Whether qmail-send knows nothing of a message that has just lost its name in todo. */
  #retract(message: MessageName): Promise<boolean> {
    this.#lastRetract = (this.#lastRetract + 1) % 0x80000000;
    const request = this.#lastRetract;
    return new Promise((resolve) => {
      this.#retracting.set(request, resolve);
      this.#send.send(FRAME.retract, request, formatName(message));
    });
  }

  #retracted(request: number, unknown: boolean): void {
    this.#retracting.get(request)?.(unknown);
    this.#retracting.delete(request);
  }

  async #open(): Promise<void> {
    const { uid } = this.#ids;
    const network = new Door(this, { uid: uid.qmaild, how: "from network" });
    this.#network.serve((socket) => this.#connected(socket, network));
    await this.#listen(LOCAL_SOCKET, new DropDoor(this));
    this.#removeLeftovers();
    setInterval(() => this.#removeLeftovers(), LEFTOVERS_MS).unref();
    // Behind the opening: a file dropped before it is seen here, one dropped after it is announced.
    await this.#takeDrops();
    this.#send.send(FRAME.opened, 0);
  }

  /** Takes in what was left: while no server ran, or by a program that died before it could ask. */
  async #takeDrops(): Promise<void> {
    if (this.#takingDrops) return;
    this.#takingDrops = true;
    try {
      await this.#drops.takeAll(() => this.nextQp());
    } catch (error) {
      process.stderr.write(`warning: qmail-queue: cannot read drop: ${(error as Error).message}\n`);
    } finally {
      this.#takingDrops = false;
    }
  }

  #listen(path: string, door: Door | DropDoor): Promise<void> {
    // A socket left by a crash is in the way. Its maker has gone: the lock of the queue is ours.
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#connected(socket, door));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        // Everybody may; what he says is looked at.
        chmodSync(path, 0o666);
        resolve();
      });
    });
  }

  #connected(socket: Socket, door: Door | DropDoor): void {
    const link = new Link(socket, {
      frame: (type, id, payload) => door.frame(link, type, id, payload),
      close: () => door.gone(link),
    });
  }

  async #clean(type: CleanType, request: number, message: MessageName | null): Promise<void> {
    let trouble = "not the name of a message";
    try {
      if (message) {
        await this.#removal.remove(type, message);
        trouble = "";
      }
    } catch (error) {
      trouble = (error as Error).message;
    }
    if (trouble) process.stderr.write(`warning: qmail-queue: cannot remove: ${trouble}\n`);
    this.#send.send(FRAME.cleaned, request, trouble ? "!" : "+");
  }

  #removeLeftovers(): void {
    for (const path of removeLeftovers(QUEUE, this.#context.now())) {
      process.stderr.write(`warning: qmail-queue: cannot remove "${path}"\n`);
    }
  }

  /** Sockets stay behind: what a successor has put in their place must not be unlinked by us. */
  #exit(): void {
    this.#entering.abort();
    process.exit(EXIT.ok);
  }
}

/** A message under way through a door. */
interface Incoming {
  readonly intake: Intake;
  readonly qp: number;
  /** What has come of its envelope. */
  readonly envelope: Buffer[];
  envelopeSize: number;
}

/** A door for those who may say for themselves what they put in: the network daemons, qmail-send. */
class Door {
  readonly #server: QueueServer;
  readonly #source: Source;
  readonly #entering = new Map<Link, Map<number, Incoming>>();

  constructor(server: QueueServer, source: Source) {
    this.#server = server;
    this.#source = source;
  }

  frame(link: Link, type: number, id: number, payload: Buffer): void {
    const entry = this.#entry(link, id);
    switch (type) {
      case FRAME.put:
        entry.intake.put(Buffer.from(payload));
        break;
      case FRAME.envelope:
        this.#envelope(entry, payload);
        break;
      case FRAME.close:
        this.#entering.get(link)?.delete(id);
        this.#envelope(entry, payload);
        void this.#commit(link, id, entry);
        break;
      case FRAME.abort:
        this.#entering.get(link)?.delete(id);
        entry.intake.abort();
        break;
      default:
        link.destroy();
    }
  }

  gone(link: Link): void {
    for (const { intake } of this.#entering.get(link)?.values() ?? []) intake.abort();
    this.#entering.delete(link);
  }

  #entry(link: Link, id: number): Incoming {
    let entries = this.#entering.get(link);
    if (!entries) {
      entries = new Map();
      this.#entering.set(link, entries);
    }
    let entry = entries.get(id);
    if (!entry) {
      const qp = this.#server.nextQp();
      entry = { intake: this.#server.intake(this.#source, qp), qp, envelope: [], envelopeSize: 0 };
      entries.set(id, entry);
    }
    return entry;
  }

  #envelope(entry: Incoming, payload: Buffer): void {
    entry.envelopeSize += payload.length;
    if (entry.envelopeSize > ENVELOPE_MAX) entry.intake.abort();
    else entry.envelope.push(Buffer.from(payload));
  }

  async #commit(link: Link, id: number, entry: Incoming): Promise<void> {
    let code: number = QQ.ok;
    try {
      await entry.intake.commit(Buffer.concat(entry.envelope));
    } catch (error) {
      code = codeOf(error);
    }
    link.send(FRAME.result, id, formatResult(code, entry.qp));
  }
}

/** The door of every local user: names of files whose owner tells who queued them. */
class DropDoor {
  readonly #server: QueueServer;

  constructor(server: QueueServer) {
    this.#server = server;
  }

  frame(link: Link, type: number, id: number, payload: Buffer): void {
    if (type !== FRAME.drop) {
      link.destroy();
      return;
    }
    void this.#take(link, id, payload.toString("latin1"));
  }

  gone(): void {}

  async #take(link: Link, id: number, name: string): Promise<void> {
    const qp = this.#server.nextQp();
    let code: number = QQ.ok;
    try {
      await this.#server.takeDrop(name, qp);
    } catch (error) {
      code = codeOf(error);
    }
    link.send(FRAME.result, id, formatResult(code, qp));
  }
}

function isClean(type: number): type is CleanType {
  return type === FRAME.cleanTodo || type === FRAME.cleanMess || type === FRAME.cleanAll;
}

function codeOf(error: unknown): number {
  if (error instanceof QueueError) {
    process.stderr.write(`qmail-queue: ${error.message}\n`);
    return error.code;
  }
  process.stderr.write(`qmail-queue: internal bug: ${(error as Error).stack}\n`);
  return QQ.internalBug;
}

if (import.meta.main) {
  process.title = "qmail-queue";
  process.umask(0o033);
  process.chdir(qmailHome());
  statSync(QUEUE);
  const ids = readIds(".");
  const network = await NetworkDoor.bind(ids);
  if (!ids.sandbox) become({ uid: ids.uid.qmailq, gid: ids.gid.qmail });
  new QueueServer(ids, new Socket({ fd: 3 }), network);
}
