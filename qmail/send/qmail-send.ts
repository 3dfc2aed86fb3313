/**
 * qmail-send: decides what is tried when (qmail-send(8)). Owns info/, local/, remote/ and bounce/.
 *
 *   todo ──> straight ──┐                      ┌─> qmail-lspawn
 *     └────> settle ──> schedule ──> pass ──> deliveries
 *                         └─> done: bounce, remove    └─> qmail-rspawn
 *
 * Everything happens in `turn`, which reads the clock once; events only note what came and ask for a turn.
 */

import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Control } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { fsyncCarriesName, GroupSync } from "../files/groupsync.ts";
import type { MessId } from "../queue/fmtqfn.ts";
import { HeldFile } from "../queue/held.ts";
import { FRAME } from "../queue/protocol.ts";
import { sayReady } from "../supervise/ready.ts";
import { ActionQueue } from "./action-queue.ts";
import { ActionServer } from "./action-server.ts";
import { BounceFormatError } from "./bounce.ts";
import { cleanup, SLEEP_CLEANUP } from "./cleanup.ts";
import { ClockWatch } from "./clock-watch.ts";
import { type Controls, RereadError, readControls, rereadTables } from "./controls.ts";
import { Deliveries } from "./delivery.ts";
import { Ending } from "./ending.ts";
import { HeldMessages } from "./held-messages.ts";
import { Holds } from "./holds.ts";
import * as log from "./log.ts";
import { CHANNELS, type Channel } from "./log.ts";
import { Pass } from "./pass.ts";
import { QueueClerk } from "./queue-clerk.ts";
import { QueueFiles } from "./queue-files.ts";
import { Removals } from "./removals.ts";
import type { RewriteTables } from "./rewrite.ts";
import { Schedule } from "./schedule.ts";
import { Settling } from "./settling.ts";
import { Spawners } from "./spawners.ts";
import { statusOf } from "./status.ts";
import { type StraightDelivery, StraightQueue } from "./straight.ts";
import { StraightDeliveries } from "./straight-deliveries.ts";
import { Todo } from "./todo.ts";
import { Turns } from "./turns.ts";

/** A directory that cannot be read is tried again after this time. */
const PAUSE_MS = 10_000;

const QUEUE = "queue";

/** Where the log goes. */
export interface LogSink {
  write(text: string): void;
  /** True while so much waits that no more work should be begun. */
  readonly full: boolean;
  /** Resolves when everything is written. */
  end(): Promise<void>;
}

/** What qmail-start joins us with. */
export interface Connections {
  readonly log: LogSink;
  readonly queue: Socket;
  readonly lspawn: Socket;
  readonly rspawn: Socket;
}

/**
 * Runs until it is told to leave or one of its partners is gone. The working directory is the qmail home, and the queue
 * is ours (queue-lock.ts). Resolves with the exit code.
 */
export async function qmailSend(connections: Connections): Promise<number> {
  const { log: sink } = connections;
  const refuse = async (why: string) => {
    sink.write(log.alert(`cannot start: ${why}`));
    await sink.end();
    return EXIT.soft;
  };
  const control = new Control(".");
  let controls: Controls;
  try {
    controls = readControls(control);
  } catch (error) {
    if (error instanceof BounceFormatError) return refuse(error.message);
    return refuse("unable to read controls");
  }
  const code = await new QmailSend(connections, control, controls).run();
  await sink.end();
  return code;
}

class QmailSend {
  readonly #sink: LogSink;
  readonly #control: Control;
  readonly #controls: Controls;
  readonly #files = new QueueFiles(QUEUE, new GroupSync(), fsyncCarriesName(QUEUE));
  readonly #schedule: Schedule;
  readonly #deliveries: Deliveries;
  /** What the spawners ask us to wait with. */
  readonly #holds: Readonly<Record<Channel, Holds<StraightDelivery>>> = {
    local: new Holds(),
    remote: new Holds(),
  };
  readonly #straight = new StraightQueue({
    tables: () => this.#tables,
    holds: this.#holds,
    settle: (message) => void this.#settling.settle(message),
  });
  readonly #straightDeliveries: StraightDeliveries;
  readonly #passes: Readonly<Record<Channel, Pass>>;
  readonly #todo: Todo;
  readonly #clerk: QueueClerk;
  readonly #removals: Removals;
  readonly #ending: Ending;
  readonly #spawners: Spawners;
  readonly #settling: Settling;
  readonly #held = new HeldFile(".");
  readonly #actions: ActionQueue;
  readonly #server: ActionServer;
  readonly #since = Date.now();
  readonly #clock = new ClockWatch();
  readonly #turns = new Turns(() => this.#turn(now()));
  #tables: RewriteTables;
  /** What an earlier run left is in the schedule. */
  #read = false;
  #exitCode: number = EXIT.ok;
  #started = false;
  #cleanupTime = 0;
  #cleaning = false;
  #finish: ((code: number) => void) | null = null;
  #finishing = false;

  constructor(connections: Connections, control: Control, controls: Controls) {
    this.#sink = connections.log;
    this.#control = control;
    this.#controls = controls;
    this.#tables = controls.tables;
    const write = (line: string) => this.#sink.write(line);
    this.#schedule = new Schedule(this.#files, write);
    this.#deliveries = new Deliveries(write, Date.now);
    this.#clerk = new QueueClerk(connections.queue, {
      fresh: (message) => this.#todo.fresh(message),
      known: ({ id, made }) => this.#knows(id, made),
      scan: () => this.#todo.scan(),
      gone: () => this.#dying("lost qmail-clean connection"),
    });
    this.#removals = new Removals({
      log: write,
      clean: (type, message) => this.#clerk.clean(type, message),
    });
    this.#ending = new Ending({
      files: this.#files,
      clerk: this.#clerk,
      removals: this.#removals,
      log: write,
      now,
      bounces: () => this.#controls.bounces,
      tables: () => this.#tables,
    });
    this.#settling = new Settling({
      files: this.#files,
      schedule: this.#schedule,
      removals: this.#removals,
      log: write,
      now,
      forget: (id) => this.#straight.forget(id),
      failed: (time) => {
        this.#todo.nextScan = Math.min(this.#todo.nextScan, time);
      },
      changed: () => this.#turns.ask(),
    });
    this.#straightDeliveries = new StraightDeliveries({
      straight: this.#straight,
      deliveries: this.#deliveries,
      settling: this.#settling,
      ending: this.#ending,
      removals: this.#removals,
      files: this.#files,
      log: write,
      now,
      lifetime: controls.lifetime,
      changed: () => this.#turns.ask(),
    });
    this.#todo = new Todo({
      queue: QUEUE,
      log: write,
      now,
      tables: () => this.#tables,
      known: (id, made) => this.#knows(id, made),
      take: (message) => this.#straightDeliveries.take(message),
      active: () => !this.#deliveries.exiting,
      full: () => this.#settling.full,
    });
    this.#passes = { local: this.#pass("local"), remote: this.#pass("remote") };
    this.#actions = new ActionQueue({
      files: this.#files,
      schedule: this.#schedule,
      passes: this.#passes,
      holds: this.#holds,
      straight: this.#straight,
      settling: this.#settling,
      ending: this.#ending,
      removals: this.#removals,
      todo: this.#todo,
      held: this.#held,
      lifetime: controls.lifetime,
      log: write,
      now,
      tables: () => this.#tables,
      flush: (domain) => this.#spawners.flush(domain),
      changed: () => this.#turns.ask(),
    });
    this.#server = new ActionServer({
      submit: (order) => this.#actions.submit(order),
      flush: () => this.#flush(),
      status: () =>
        statusOf({
          deliveries: this.#deliveries,
          holds: this.#holds,
          schedule: this.#schedule,
          straight: this.#straight,
          since: this.#since,
          read: this.#read,
        }),
    });
    const sockets = { local: connections.lspawn, remote: connections.rspawn };
    this.#spawners = new Spawners(sockets, {
      deliveries: this.#deliveries,
      holds: this.#holds,
      concurrency: controls.concurrency,
      // The doors may open.
      ready: () => void this.#start(),
      gone: (wasThere) =>
        wasThere
          ? this.#dying("lost spawn connection")
          : this.#abandon("cannot start: hath the daemon spawn no fire?"),
      changed: () => this.#turns.ask(),
    });
  }

  run(): Promise<number> {
    process.on("SIGTERM", () => this.#exit(EXIT.ok));
    process.on("SIGALRM", () => this.#flush());
    process.on("SIGHUP", () => this.#reread());
    return new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Whether the message is here although it is in todo; `made` says which one of that number. */
  #knows(id: MessId, made?: number): boolean {
    return this.#straight.has(id) || this.#settling.has(id) || this.#removals.has(id, made);
  }

  /** Everything is tried now, whatever is known against whom. */
  #flush(): void {
    this.#clerk.takeDrops();
    this.#schedule.runAll(now());
    this.#straight.retryAll();
    this.#settling.retryAll();
    this.#removals.retryAll();
    for (const channel of CHANNELS) this.#holds[channel].freeAll();
    this.#spawners.flush("");
    this.#turns.ask();
  }

  #pass(channel: Channel): Pass {
    return new Pass(
      {
        files: this.#files,
        schedule: this.#schedule,
        deliveries: this.#deliveries,
        holds: this.#holds[channel],
        log: (line) => this.#sink.write(line),
        now,
        lifetime: this.#controls.lifetime,
        startStraight: (from) => this.#straightDeliveries.start(from),
        addBounce: (id, recipient, report) => this.#ending.addBounce(id, recipient, report),
        changed: () => this.#turns.ask(),
      },
      channel,
    );
  }

  async #start(): Promise<void> {
    this.#started = true;
    this.#deliveries.status();
    // Before the doors open: what comes through them must not be taken for something old.
    const reading = this.#readSchedule();
    this.#todo.watch();
    await this.#listen();
    await this.#clerk.open();
    this.#todo.scan();
    this.#cleanupTime = now();
    sayReady();
    this.#turns.ask();
    await reading;
    this.#turns.ask();
  }

  /** Without the socket mail flows all the same. */
  async #listen(): Promise<void> {
    try {
      await this.#server.listen();
    } catch (error) {
      this.#sink.write(log.warning(`unable to listen for actions: ${(error as Error).message}`));
    }
  }

  async #readSchedule(): Promise<void> {
    const held = new HeldMessages(this.#held, this.#files);
    this.#say(held.read());
    await this.#schedule.start({
      held: (id) => held.has(id),
      now,
      active: () => !this.#deliveries.exiting,
      pause: (directory) => this.#pause(directory),
      slice: () => {
        this.#turns.ask();
        return new Promise(setImmediate);
      },
    });
    if (this.#deliveries.exiting) return;
    this.#say(held.tidy());
    this.#read = true;
  }

  #say(line: string | null): void {
    if (line !== null) this.#sink.write(line);
  }

  #pause(directory: string): Promise<void> {
    this.#sink.write(log.alert(`unable to opendir ${directory}, sleeping...`));
    return sleep(PAUSE_MS);
  }

  #dying(what: string): void {
    this.#abandon(`oh no! ${what}! dying...`);
  }

  #abandon(why: string): void {
    if (this.#finishing) return;
    this.#sink.write(log.alert(why));
    this.#exit(EXIT.soft);
  }

  #exit(code: number): void {
    this.#exitCode ||= code;
    this.#deliveries.exiting = true;
    this.#spawners.leave();
    this.#turns.ask();
  }

  /** SIGHUP renews locals and virtualdomains, both or neither. */
  #reread(): void {
    try {
      this.#tables = rereadTables(this.#control, this.#tables);
    } catch (error) {
      if (!(error instanceof RereadError)) throw error;
      this.#sink.write(log.alert(error.message));
    }
  }

  #turn(recent: number): void {
    if (this.#deliveries.exiting) {
      if (this.#deliveries.idle) void this.#leave();
      return;
    }
    // What left todo now would be found again by the reading of the schedule, and be delivered twice.
    if (!this.#started) return;
    const back = this.#clock.back();
    if (back > 0) this.#clockBack(back, recent);
    if (this.#read) this.#actions.run();
    if (!this.#sink.full) for (const channel of CHANNELS) this.#passes[channel].run(recent);
    this.#endMessages(recent);
    this.#straightDeliveries.writeDownParked(recent);
    this.#settling.run(recent);
    if (this.#todo.nextScan <= recent) {
      this.#todo.scan();
      this.#clerk.takeDrops();
    }
    if (this.#cleanupTime <= recent) void this.#cleanup();
    this.#sleep(recent);
  }

  /** What was put off while the clock was ahead may be due only when it has come there again: nobody can tell which. */
  #clockBack(seconds: number, recent: number): void {
    this.#sink.write(
      log.warning(`the clock was set back ${seconds} seconds; trying everything now`),
    );
    this.#todo.nextScan = recent;
    this.#cleanupTime = Math.min(this.#cleanupTime, recent + SLEEP_CLEANUP);
    this.#flush();
  }

  #sleep(recent: number): void {
    const wakeup = Math.min(
      this.#schedule.wakeup,
      this.#straightDeliveries.wakeup,
      this.#settling.wakeup,
      this.#todo.nextScan,
      this.#cleanupTime,
    );
    // A channel at its limit is woken by a report, not by the clock.
    this.#turns.askIn(wakeup - recent);
  }

  #endMessages(recent: number): void {
    while (this.#schedule.fail.minTime <= recent) {
      this.#schedule.retry(this.#schedule.fail.shift() as MessId, recent);
    }
    while (this.#schedule.done.minTime <= recent) {
      const id = this.#schedule.done.shift() as MessId;
      void this.#ending.end(id).then((again) => {
        if (again) this.#schedule.finished(id, again);
        this.#turns.ask();
      });
    }
  }

  async #cleanup(): Promise<void> {
    this.#cleanupTime = now() + SLEEP_CLEANUP;
    if (this.#cleaning) return;
    this.#cleaning = true;
    await cleanup({
      files: this.#files,
      now,
      busy: (id) => this.#ending.has(id) || this.#removals.has(id) || this.#actions.has(id),
      // What cannot be removed is garbage tomorrow, too.
      cleanMess: (message) => this.#clerk.clean(FRAME.cleanMess, message),
      pause: (directory) => this.#pause(directory),
      active: () => !this.#deliveries.exiting,
    });
    this.#cleaning = false;
  }

  /** All reports are in: what must be remembered is written, then we go. */
  async #leave(): Promise<void> {
    if (this.#finishing) return;
    this.#finishing = true;
    this.#turns.stop();
    await this.#actions.leave();
    // Bounces under way: what fails of them is to be written down.
    await this.#ending.idle();
    this.#straightDeliveries.leave();
    this.#settling.leave();
    await Promise.all([this.#removals.leave(), this.#settling.idle()]);
    await Promise.all([this.#removals.leave(), this.#ending.idle()]);
    this.#schedule.finish();
    this.#sink.write(log.EXITING);
    this.#todo.close();
    this.#server.close();
    this.#clerk.end();
    this.#spawners.end();
    this.#finish?.(this.#exitCode);
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
