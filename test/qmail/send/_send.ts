/**
 * qmail-send as a process with a queue server, in a sandbox of its own, and two spawners that the
 * test plays itself: it sees each delivery and says what became of it.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HIER } from "../../../qmail/hier.ts";
import { SANDBOX_MARK } from "../../../qmail/ids.ts";
import { formatUint32, heard } from "../../../qmail/net/frames.ts";
import { Link } from "../../../qmail/net/link.ts";
import { formatTodo, parseTodo } from "../../../qmail/queue/envelope.ts";
import { fmtqfn, isMessId, type MessId, messIdOf, splitOf } from "../../../qmail/queue/fmtqfn.ts";
import { networkQueue } from "../../../qmail/queue/network-queue.ts";
import { LOCAL_SOCKET } from "../../../qmail/queue/protocol.ts";
import { CHANNELS, type Channel } from "../../../qmail/send/log.ts";
import { type Delivery, SPAWN, TO_SPAWNER } from "../../../qmail/spawn/protocol.ts";

const CHILD = fileURLToPath(new URL("./_send-child.ts", import.meta.url));
/** Longer than anything takes on a busy machine. */
const PATIENCE_MS = 60_000;

/** At the end of a test qmail-send may be in one of its pauses of ten seconds. */
const GRACE_MS = 3000;

export interface Order extends Delivery {
  readonly channel: Channel;
  /** What the spawner says: K, Z or D and a text. */
  report(text: string): void;
  /** The spawner says that it waits for something of its own user's, or goes on. */
  waits(waits: boolean): void;
}

/** A message as its files say it. */
export interface HandMade {
  readonly sender: string;
  readonly body?: string;
  /** Records with their marks: "Tjoe@x". */
  readonly local?: readonly string[];
  readonly remote?: readonly string[];
  readonly bounce?: string;
  /** Seconds since 1970: mtime of info, and of local and remote. */
  readonly birth?: number;
  readonly retry?: number;
}

export class SendRig implements AsyncDisposable {
  readonly home = mkdtempSync(join(tmpdir(), "qmailctl-send-"));
  readonly queue = join(this.home, "queue");
  lines: string[] = [];
  /** What was said on standard error, by the queue server too. */
  errors = "";
  /** Takes every order as it comes, when it is set: then `order` waits in vain. */
  spawner: ((order: Order) => void) | null = null;
  /** Domains that the spawner of the remote channel was told to try again; "" for all. */
  readonly flushed: string[] = [];
  /** Channels whose spawner was told that nothing more will come. */
  readonly left: Channel[] = [];
  /** How many deliveries take slots, as each spawner was told. */
  readonly limits = new Map<Channel, number>();
  #child: ChildProcess | null = null;
  #exited: Promise<number | null> = Promise.resolve(null);
  #links = new Map<Channel, Link>();
  #orders: Order[] = [];
  #waiting = new Set<() => void>();

  constructor(controls: Readonly<Record<string, string>> = {}) {
    for (const { path, type, mode } of HIER) {
      const full = join(this.home, path);
      if (type === "directory") mkdirSync(full, { recursive: true, mode });
      else if (type === "file") writeFileSync(full, "", { mode });
      else execFileSync("mkfifo", [full]);
    }
    writeFileSync(join(this.home, SANDBOX_MARK), "");
    const all = { me: "mail.test\n", locals: "mail.test\n", ...controls };
    for (const [name, text] of Object.entries(all)) this.control(name, text);
  }

  control(name: string, text: string): void {
    writeFileSync(join(this.home, "control", name), text);
  }

  /** Starts qmail-send; both spawners say hello. Resolves when the doors of the queue are open. */
  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const door = join(this.home, LOCAL_SOCKET);
    rmSync(door, { force: true });
    this.launch(env);
    for (const channel of CHANNELS) this.hello(channel);
    await this.line(/^status: local 0\//);
    await this.until(() => existsSync(door), "the doors");
  }

  launch(env: NodeJS.ProcessEnv = {}): void {
    this.lines = [];
    this.#orders = [];
    const child = spawn(process.execPath, [CHILD], {
      cwd: this.home,
      env: { PATH: process.env.PATH, QMAILHOME: this.home, ...env },
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.errors += chunk.toString("latin1");
      process.stderr.write(chunk);
    });
    this.#child = child;
    this.#exited = once(child, "exit").then(([code]) => code as number | null);
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      const lines = (text + chunk.toString("latin1")).split("\n");
      text = lines.pop() ?? "";
      this.lines.push(...lines);
      this.#wake();
    });
    for (const [at, channel] of CHANNELS.entries()) {
      const link: Link = new Link(child.stdio[3 + at] as Socket, {
        hears: heard(TO_SPAWNER, {
          flush: (domain) => void this.flushed.push(domain),
          leave: () => void this.left.push(channel),
          limit: (most) => void this.limits.set(channel, most),
          deliver: (delivery, delnum) => {
            const report = (text: string) => link.send(SPAWN.report, delnum, text);
            const waits = (waits: boolean) => link.send(SPAWN.waits, delnum, waits ? "1" : "0");
            const order = { ...delivery, channel, report, waits };
            if (this.spawner) this.spawner(order);
            else this.#orders.push(order);
            this.#wake();
          },
        }),
        close() {},
      });
      this.#links.set(channel, link);
    }
  }

  hello(channel: Channel, limit = 2000): void {
    this.link(channel).send(SPAWN.hello, 0, formatUint32(limit));
  }

  link(channel: Channel): Link {
    return this.#links.get(channel) as Link;
  }

  /** Says bytes that need not be a frame to qmail-send, as the spawner of `channel`. */
  say(channel: Channel, bytes: Buffer): void {
    const { stdio } = this.#child as ChildProcess;
    (stdio[3 + CHANNELS.indexOf(channel)] as Socket).write(bytes);
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** qmail-send and the queue server. */
  processes(): number[] {
    const { pid } = this.#child as { pid: number };
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
    return [pid, ...children.split(" ").filter(Boolean).map(Number)];
  }

  /** Kills both. */
  kill(): void {
    for (const each of this.processes()) process.kill(each, "SIGKILL");
  }

  /** Stops both where they stand, for as long as `look` looks. */
  freeze<T>(look: () => T): T {
    const all = this.processes();
    for (const each of all) process.kill(each, "SIGSTOP");
    try {
      return look();
    } finally {
      for (const each of all) process.kill(each, "SIGCONT");
    }
  }

  /**
   * SIGALRM until a delivery is asked for, or `enough`: a message that is on its way into the schedule
   * is not due by the first.
   */
  alarm(enough = () => false): Promise<void> {
    let last = Number.NEGATIVE_INFINITY;
    return this.until(() => {
      if (this.#orders.length > 0 || enough()) return true;
      // Time for each to be obeyed: one that comes late makes what is deferred meanwhile due again.
      if (performance.now() - last < 200) return false;
      last = performance.now();
      this.signal("SIGALRM");
      return false;
    }, "a delivery after SIGALRM");
  }

  /** From now on qmail-send cannot make a file longer than this. */
  limitFiles(bytes: number): void {
    execFileSync("prlimit", [`--fsize=${bytes}`, `--pid=${this.#child?.pid}`]);
  }

  exit(): Promise<number | null> {
    return this.#exited;
  }

  /** SIGTERM, and the exit code. A delivery that a late SIGALRM has begun is put off, or it would be waited for. */
  async stop(): Promise<number | null> {
    this.signal("SIGTERM");
    const late = setInterval(() => {
      for (const order of this.#orders.splice(0)) order.report("Znot now\n");
    }, 20);
    const code = await this.exit();
    clearInterval(late);
    return code;
  }

  /** The next delivery that qmail-send asks for. */
  async order(): Promise<Order> {
    await this.until(() => this.#orders.length > 0, "a delivery");
    return this.#orders.shift() as Order;
  }

  get orders(): number {
    return this.#orders.length;
  }

  /** The first line of the log, from the one numbered `from` on, that matches. */
  async line(pattern: RegExp, from = 0): Promise<string> {
    const find = () => this.lines.slice(from).find((line) => pattern.test(line));
    await this.until(() => find() !== undefined, String(pattern));
    return find() as string;
  }

  /** Resolves when `done`, which is asked again when something has come. */
  async until(done: () => boolean, what: string): Promise<void> {
    const deadline = setTimeout(() => {
      for (const look of this.#waiting) look();
    }, PATIENCE_MS);
    const started = Date.now();
    // Files change without an event here.
    const poll = setInterval(() => this.#wake(), 20);
    try {
      while (!done()) {
        if (Date.now() - started > PATIENCE_MS) {
          assert.fail(`waited in vain for ${what}; log:\n${this.lines.join("\n")}`);
        }
        await new Promise<void>((resolve) => {
          this.#waiting.add(resolve);
        });
      }
    } finally {
      clearTimeout(deadline);
      clearInterval(poll);
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resolve of waiting) resolve();
  }

  /** Puts a message in through the network daemons' door; returns its qp. */
  async put(sender: string, recipients: readonly string[], body = "body\n"): Promise<number> {
    const queue = networkQueue(this.home);
    await queue.connect();
    const message = queue.open();
    message.put(Buffer.from(body, "latin1"));
    const result = await message.close(sender, recipients);
    queue.end();
    assert.ok(result.ok, JSON.stringify(result));
    return result.qp;
  }

  /** A message file with the name that its inode gives it, as qmail-queue makes it. */
  mess(body = "body\n", from = "pid/1.2.3"): MessId {
    const pid = join(this.queue, from);
    writeFileSync(pid, body, { mode: 0o644 });
    const id = messIdOf(statSync(pid, { bigint: true }).ino);
    linkSync(pid, this.path("mess", id));
    unlinkSync(pid);
    return id;
  }

  path(directory: Parameters<typeof fmtqfn>[0], id: MessId): string {
    return join(this.queue, fmtqfn(directory, id));
  }

  /** What another qmail-queue leaves: mess, intd and todo. */
  todo(sender: string, recipients: readonly string[], body?: string, from?: string): MessId {
    const id = this.mess(body, from);
    const bytes = formatTodo({ uid: 7, pid: 8, sender, recipients });
    writeFileSync(this.path("intd", id), bytes, { mode: 0o644 });
    linkSync(this.path("intd", id), this.path("todo", id));
    return id;
  }

  /** What another qmail-send leaves: info, local, remote, bounce. */
  made(message: HandMade): MessId {
    const { sender, body, bounce, birth, retry } = message;
    const id = this.mess(body);
    const write = (directory: "info" | "bounce" | Channel, text: string, time?: number) => {
      writeFileSync(this.path(directory, id), Buffer.from(text, "latin1"), { mode: 0o600 });
      if (time !== undefined) utimesSync(this.path(directory, id), time, time);
    };
    write("info", `F${sender}\0`, birth);
    for (const channel of CHANNELS) {
      const records = message[channel];
      if (records) write(channel, records.map((record) => `${record}\0`).join(""), retry);
    }
    if (bounce !== undefined) write("bounce", bounce);
    return id;
  }

  /** Pulls the trigger as qmail-queue does: when nobody listens yet, todo is read anyway. */
  pull(): void {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    try {
      const fd = openSync(join(this.queue, "lock/trigger"), flags);
      writeSync(fd, "\0");
      closeSync(fd);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENXIO");
    }
  }

  read(directory: Parameters<typeof fmtqfn>[0], id: MessId): string {
    return readFileSync(this.path(directory, id), "latin1");
  }

  exists(directory: Parameters<typeof fmtqfn>[0], id: MessId): boolean {
    return existsSync(this.path(directory, id));
  }

  /** Messages in the queue. */
  messages(): number {
    const mess = join(this.queue, "mess");
    return readdirSync(mess).reduce((sum, split) => sum + readdirSync(join(mess, split)).length, 0);
  }

  /** Resolves when nothing is left of `id`. */
  gone(id: MessId): Promise<void> {
    return this.until(() => !this.exists("mess", id), `the end of ${id}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Without spawners it need not wait for reports, and takes the queue server with it.
    this.signal("SIGTERM");
    for (const link of this.#links.values()) link.destroy();
    const kill = setTimeout(() => this.signal("SIGKILL"), GRACE_MS);
    await this.#exited;
    clearTimeout(kill);
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Asserts that `queue` is what a qmail may start on: names, places, modes, contents, states. */
export function checkQueue(queue: string): void {
  const ids = { mess: new Set<string>(), info: new Set<string>() };
  for (const directory of ["mess", "info", "local", "remote"] as const) {
    for (const split of readdirSync(join(queue, directory))) {
      for (const id of readdirSync(join(queue, directory, split))) {
        assert.ok(isMessId(id), `${directory}/${split}/${id}`);
        assert.equal(String(splitOf(id)), split);
        checkFile(queue, directory, id);
        if (directory === "mess" || directory === "info") ids[directory].add(id);
        else assert.ok(ids.info.has(id), `${directory}/${id} without info`);
      }
    }
  }
  for (const directory of ["intd", "todo", "bounce"] as const) {
    for (const id of readdirSync(join(queue, directory))) {
      assert.ok(isMessId(id), `${directory}/${id}`);
      assert.ok(ids.mess.has(id), `${directory}/${id} without mess`);
      checkFile(queue, directory, id);
      if (directory === "bounce") assert.ok(ids.info.has(id), `bounce/${id} without info`);
    }
  }
  for (const id of ids.info) assert.ok(ids.mess.has(id), `info/${id} without mess`);
  for (const id of ids.mess) {
    const owned = ids.info.has(id) || existsSync(join(queue, "todo", id));
    assert.ok(owned, `mess/${id} without info or todo`);
  }
  assert.deepEqual(readdirSync(join(queue, "pid")), []);
}

const MODES = { mess: 0o644, intd: 0o644, todo: 0o644 } as Readonly<Record<string, number>>;

function checkFile(queue: string, directory: Parameters<typeof fmtqfn>[0], id: MessId): void {
  const name = fmtqfn(directory, id);
  const stat = statSync(join(queue, name), { bigint: true });
  assert.ok(stat.isFile(), name);
  assert.equal(Number(stat.mode) & 0o777, MODES[directory] ?? 0o600, `mode of ${name}`);
  const text = readFileSync(join(queue, name), "latin1");
  if (directory === "mess") assert.equal(messIdOf(stat.ino), id, `inode of ${name}`);
  else if (directory === "intd" || directory === "todo") parseTodo(Buffer.from(text, "latin1"));
  else if (directory === "info") assert.match(text, /^F[^\0]*\0$/, name);
  else if (directory === "bounce") assert.match(text, /^(<[^\n]*>:\n([^\n]+\n)*\n)+$/, name);
  else assert.match(text, /^([TD][^\0]+\0)+$/, name);
}
