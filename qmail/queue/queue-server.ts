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
import { createServer, type Server, Socket } from "node:net";
import { EXIT } from "../exit.ts";
import { become } from "../files/become.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import { qmailHome } from "../home.ts";
import { type Ids, readIds } from "../ids.ts";
import { heard } from "../net/frames.ts";
import { Link, Refusal } from "../net/link.ts";
import { warn } from "../warn.ts";
import { Drops } from "./drop.ts";
import { DropDoor } from "./drop-door.ts";
import { Entering } from "./entering.ts";
import { Intake, type IntakeContext, type Queued, type Source } from "./intake.ts";
import { removeLeftovers } from "./leftovers.ts";
import { MadeClock, madeTick } from "./made.ts";
import { NetworkDoor, Putting } from "./network-door.ts";
import { NetworkSocket } from "./network-socket.ts";
import {
  FRAME,
  FRESH_MAX,
  FROM_SEND,
  formatFresh,
  formatName,
  LOCAL_SOCKET,
  type MessageName,
} from "./protocol.ts";
import { type CleanType, Removal } from "./removal.ts";

const QUEUE = "queue";
/** From one look at what crashes left to the next. */
const LEFTOVERS_MS = 24 * 3600 * 1000;

class QueueServer {
  readonly #context: IntakeContext;
  readonly #entering = new Entering();
  readonly #removal: Removal;
  readonly #drops: Drops;
  readonly #socket: NetworkSocket;
  readonly #network: NetworkDoor;
  readonly #local: DropDoor;
  readonly #send: Link;
  #opened = false;
  /** Messages taken back that qmail-send is asked about. */
  readonly #retracting = new Map<number, (unknown: boolean) => void>();
  #lastRetract = 0;
  #qp = process.pid;
  #unannounced = false;
  #takingDrops = false;

  constructor(ids: Ids, sendSocket: Socket, socket: NetworkSocket) {
    this.#socket = socket;
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
    const { uid } = ids;
    this.#network = new NetworkDoor(this, { uid: uid.qmaild, how: "from network" });
    this.#local = new DropDoor(this);
    const source = { uid: uid.qmails, how: "for bounce", bounce: true };
    const bounces = new Putting(this, source, () => this.#send);
    const clean = (type: CleanType) => (message: MessageName, id: number) =>
      void this.#clean(type, id, message);
    this.#send = new Link(sendSocket, {
      guarded: true,
      hears: heard(FROM_SEND, {
        ...bounces.handlers,
        open: () => this.#open(),
        drops: () => void this.takeDrops(),
        retracted: ({ yes }, id) => this.#retracted(id, yes),
        cleanTodo: clean(FRAME.cleanTodo),
        cleanMess: clean(FRAME.cleanMess),
        cleanAll: clean(FRAME.cleanAll),
      }),
      close: (error) => {
        if (error instanceof Refusal)
          warn(`ended the link to qmail-send, which said ${error.message}`);
        this.#exit();
      },
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

  #open(): void {
    if (this.#opened) this.#send.refuse("open twice");
    else void this.#openDoors();
    this.#opened = true;
  }

  async #openDoors(): Promise<void> {
    this.#socket.serve(this.#network);
    await this.#listen(LOCAL_SOCKET, this.#local);
    this.#removeLeftovers();
    setInterval(() => this.#removeLeftovers(), LEFTOVERS_MS).unref();
    // Behind the opening: a file dropped before it is seen here, one dropped after it is announced.
    await this.takeDrops();
    this.#send.send(FRAME.opened, 0);
  }

  /** Takes in what was left: while no server ran, or by a program that died before it could ask. */
  async takeDrops(): Promise<void> {
    if (this.#takingDrops) return;
    this.#takingDrops = true;
    try {
      await this.#drops.takeAll(() => this.nextQp());
    } catch (error) {
      warn(`cannot read drop: ${(error as Error).message}`);
    } finally {
      this.#takingDrops = false;
    }
  }

  #listen(path: string, door: Door): Promise<void> {
    // A socket left by a crash is in the way. Its maker has gone: the lock of the queue is ours.
    rmSync(path, { force: true });
    const server = createServer((socket) => door.connected(socket));
    door.prepare(server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        // Everybody may; what he says is looked at.
        chmodSync(path, 0o666);
        resolve();
      });
    });
  }

  async #clean(type: CleanType, request: number, message: MessageName): Promise<void> {
    let done = true;
    try {
      await this.#removal.remove(type, message);
    } catch (error) {
      warn(`cannot remove: ${(error as Error).message}`);
      done = false;
    }
    this.#send.send(FRAME.cleaned, request, done ? "+" : "!");
  }

  #removeLeftovers(): void {
    for (const path of removeLeftovers(QUEUE, this.#context.now())) {
      warn(`cannot remove "${path}"`);
    }
  }

  /** Sockets stay behind: what a successor has put in their place must not be unlinked by us. */
  #exit(): void {
    this.#entering.abort();
    process.exit(EXIT.ok);
  }
}

/** Where others come in. */
interface Door {
  /** Limits who may connect. */
  prepare(server: Server): void;
  connected(socket: Socket): void;
}

if (import.meta.main) {
  process.title = "qmail-queue";
  process.umask(0o033);
  process.chdir(qmailHome());
  statSync(QUEUE);
  const ids = readIds(".");
  const socket = await NetworkSocket.bind(ids);
  if (!ids.sandbox) become({ uid: ids.uid.qmailq, gid: ids.gid.qmail });
  new QueueServer(ids, new Socket({ fd: 3 }), socket);
}
