/**
 * The long-lived qmail-queue: takes in messages for all who have no process of their own to spend on
 * one, and is qmail-clean too. Runs as qmailq, the only user that can write mess/, intd/ and todo/.
 *
 * Descriptor 3 is the link to qmail-send. The doors open when qmail-send says that it has the queue
 * to itself, and the process ends when that link ends: an accepted message always has a sender.
 */

import { chmodSync, rmSync, statSync, unlinkSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { EXIT, QQ } from "../exit.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import { qmailHome } from "../home.ts";
import { type Ids, readIds } from "../ids.ts";
import { Link } from "../net/link.ts";
import { Drops } from "./drop.ts";
import { fmtqfn, type MessId } from "./fmtqfn.ts";
import { Intake, type IntakeContext, type Queued, QueueError, type Source } from "./intake.ts";
import { removeLeftovers } from "./leftovers.ts";
import {
  ENVELOPE_MAX,
  FRAME,
  formatFresh,
  formatResult,
  LOCAL_SOCKET,
  NETWORK_SOCKET,
} from "./protocol.ts";
import { Spares } from "./spares.ts";

const QUEUE = "queue";
/** A longer todo file is not sent along: qmail-send reads it. */
const FRESH_MAX = 64 * 1024;
/** From one look at what crashes left to the next. */
const LEFTOVERS_MS = 24 * 3600 * 1000;
/** Files of larger messages are not kept: they would hold the disk's space. */
const SPARE_SIZE_MAX = 64 * 1024;

class QueueServer {
  readonly #ids: Ids;
  readonly #context: IntakeContext;
  readonly #drops: Drops;
  readonly #send: Link;
  readonly #servers: Server[] = [];
  readonly #spares = new Spares(QUEUE, Date.now);
  /** When the files of each message in todo were made, of those that this process has taken in. */
  readonly #made = new Map<MessId, number>();
  #qp = process.pid;
  /** Messages linked into todo that qmail-send has not been told of. */
  readonly #entering = new Set<MessId>();
  #unannounced = false;
  #takingDrops = false;

  constructor(ids: Ids, sendSocket: Socket) {
    this.#ids = ids;
    this.#context = {
      queue: QUEUE,
      fsyncCarriesName: fsyncCarriesName(QUEUE),
      sync: new GroupSync(),
      spares: this.#spares,
      entering: this.#entering,
      now: () => Math.floor(Date.now() / 1000),
    };
    this.#drops = new Drops(this.#context, ids, (queued) => this.announce(queued));
    const bounce = new Door(this, { uid: ids.uid.qmails, how: "for bounce", bounce: true });
    this.#send = new Link(sendSocket, {
      frame: (type, id, payload) => {
        if (type === FRAME.open) void this.#open();
        else if (type === FRAME.drops) void this.#takeDrops();
        else if (isClean(type)) this.#clean(type, id, payload.toString("latin1"));
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

  announce(queued: Queued): void {
    if (queued.gone) return;
    if (queued.size <= SPARE_SIZE_MAX) this.#made.set(queued.id, queued.made);
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
    this.#send.send(FRAME.fresh, 0, formatFresh(queued.id, queued.size, queued.todo));
  }

  async #open(): Promise<void> {
    const { uid } = this.#ids;
    await this.#listen(NETWORK_SOCKET, new Door(this, { uid: uid.qmaild, how: "from network" }));
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
    // A socket left by a crash is in the way. Two queue servers cannot be: qmail-send holds sendmutex.
    rmSync(path, { force: true });
    const server = createServer((socket) => {
      const link = new Link(socket, {
        frame: (type, id, payload) => door.frame(link, type, id, payload),
        close: () => door.gone(link),
      });
    });
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        // Who may connect is decided by the socket's directory.
        chmodSync(path, 0o666);
        resolve();
      });
    });
  }

  #clean(type: number, request: number, id: MessId): void {
    const answer = (removed: boolean) => {
      this.#send.send(FRAME.cleaned, request, removed ? "+" : "!");
    };
    const made = this.#made.get(id);
    this.#made.delete(id);
    this.#entering.delete(id);
    if (type === FRAME.cleanTodo) answer(this.#unlink(id, "intd", "todo"));
    else if (!this.#context.fsyncCarriesName) void this.#cleanSlowly(type, id).then(answer);
    else if (type === FRAME.cleanMess) answer(this.#unlink(id, "intd", "mess"));
    else answer(this.#keep(id, made) || this.#unlink(id, "intd", "todo", "mess"));
  }

  /**
   * Elsewhere the message goes only when its name in todo/ cannot come back: another message with the
   * same number would be delivered in its name.
   */
  async #cleanSlowly(type: number, id: MessId): Promise<boolean> {
    try {
      if (type === FRAME.cleanAll && !this.#unlink(id, "todo")) return false;
      await this.#context.sync.sync(`${QUEUE}/todo`);
      return this.#unlink(id, "intd", "mess");
    } catch {
      return false;
    }
  }

  /** The files of a message that was delivered straight may serve the next one. False: remove them. */
  #keep(id: MessId, made: number | undefined): boolean {
    if (made === undefined || !this.#unlink(id, "todo")) return false;
    this.#spares.offer({ id, made });
    return true;
  }

  #removeLeftovers(): void {
    for (const path of removeLeftovers(QUEUE, this.#context.now())) {
      process.stderr.write(`warning: qmail-queue: cannot remove "${path}"\n`);
    }
  }

  /** In the order given, which the filesystems that we know keep. True when all are gone. */
  #unlink(id: MessId, ...directories: readonly ("intd" | "todo" | "mess")[]): boolean {
    return directories.map((directory) => isUnlinked(fmtqfn(directory, id))).every(Boolean);
  }

  #exit(): void {
    for (const server of this.#servers) server.close();
    this.#spares.clear();
    process.exit(EXIT.ok);
  }
}

/** A message under way through a door. */
interface Entering {
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
  readonly #entering = new Map<Link, Map<number, Entering>>();

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

  #entry(link: Link, id: number): Entering {
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

  #envelope(entry: Entering, payload: Buffer): void {
    entry.envelopeSize += payload.length;
    if (entry.envelopeSize > ENVELOPE_MAX) entry.intake.abort();
    else entry.envelope.push(Buffer.from(payload));
  }

  async #commit(link: Link, id: number, entry: Entering): Promise<void> {
    let code: number = QQ.ok;
    try {
      this.#server.announce(await entry.intake.commit(Buffer.concat(entry.envelope)));
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

function isUnlinked(path: string): boolean {
  try {
    unlinkSync(`${QUEUE}/${path}`);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

function isClean(type: number): boolean {
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
  new QueueServer(readIds("."), new Socket({ fd: 3 }));
}
