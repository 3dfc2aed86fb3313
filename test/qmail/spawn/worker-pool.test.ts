import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Report } from "../../../qmail/spawn/report.ts";
import { type Owner, type PoolWorker, WorkerPool } from "../../../qmail/spawn/worker-pool.ts";
import type { Listener } from "../../../qmail/spawn/worker-process.ts";

const OK: Report = { status: "K", text: "" };
const open = () => ({ size: 0, inline: Buffer.alloc(0), fd: -1 });

/** A worker that finishes when it is told to. */
class FakeWorker implements PoolWorker {
  readonly owner: Owner;
  readonly #gone: () => void;
  readonly #exit = Promise.withResolvers<void>();
  readonly exited = this.#exit.promise;
  readonly #under: Listener[] = [];
  served = 0;
  left = false;
  ended = false;

  constructor(owner: Owner, gone: () => void) {
    this.owner = owner;
    this.#gone = gone;
  }

  get busy(): number {
    return this.#under.length;
  }

  start(_fields: unknown, _message: unknown, listener: Listener): void {
    assert.equal(this.ended, false, "a worker that was let go got work");
    this.served++;
    this.#under.push(listener);
  }

  finish(): void {
    this.#under.shift()?.done(OK);
  }

  leave(): void {
    this.left = true;
  }

  end(): void {
    assert.equal(this.busy, 0);
    this.ended = true;
    this.die();
  }

  die(): void {
    this.#exit.resolve();
    this.#gone();
  }
}

function pool(idleMax: number) {
  const workers: FakeWorker[] = [];
  const made = new WorkerPool({
    idleMs: 60_000,
    idleMax: () => idleMax,
    start(owner, gone) {
      const worker = new FakeWorker(owner, gone);
      workers.push(worker);
      return worker;
    },
  });
  const deliver = (uid: number, gid = 100) => {
    const { promise, resolve } = Promise.withResolvers<Report>();
    made.deliver({ uid, gid }, { fields: [], open }, { done: resolve });
    return promise;
  };
  const living = () => workers.filter(({ ended }) => !ended);
  return { pool: made, workers, deliver, living };
}

test("deliveries for one uid and gid share a worker, others never", async () => {
  const { workers, deliver } = pool(10);
  const all = [deliver(1), deliver(1), deliver(2), deliver(1, 200)];
  assert.deepEqual(
    workers.map(({ owner, served }) => [owner.uid, owner.gid, served]),
    [
      [1, 100, 2],
      [2, 100, 1],
      [1, 200, 1],
    ],
  );
  for (const worker of workers) while (worker.busy > 0) worker.finish();
  assert.deepEqual(await Promise.all(all), [OK, OK, OK, OK]);
});

test("a worker leaves when it had nothing to do for a minute, and not while it has", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { workers, deliver } = pool(10);
    void deliver(1);
    void deliver(1);
    const [worker] = workers as [FakeWorker];
    worker.finish();
    mock.timers.tick(120_000);
    assert.equal(worker.ended, false);
    worker.finish();
    mock.timers.tick(59_999);
    void deliver(1);
    mock.timers.tick(120_000);
    assert.equal(worker.ended, false);
    worker.finish();
    mock.timers.tick(60_000);
    assert.equal(worker.ended, true);
    void deliver(1);
    assert.equal(workers.length, 2);
  } finally {
    mock.timers.reset();
  }
});

test("10,000 uids one after another: never more workers than may be idle, the last used stay", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { workers, deliver, living } = pool(20);
    for (let uid = 1; uid <= 10_000; uid++) {
      void deliver(uid);
      assert.ok(living().length <= 21);
      workers.at(-1)?.finish();
    }
    assert.equal(workers.length, 10_000);
    assert.deepEqual(
      living().map(({ owner }) => owner.uid),
      Array.from({ length: 20 }, (_, at) => 9_981 + at),
    );
  } finally {
    mock.timers.reset();
  }
});

test("a worker that dies is replaced, and its death is no one else's", async () => {
  const { workers, deliver } = pool(10);
  void deliver(1);
  workers[0]?.finish();
  workers[0]?.die();
  void deliver(1);
  assert.equal(workers.length, 2);
  // Late news of the first must not take the second away.
  workers[0]?.die();
  void deliver(1);
  assert.equal(workers.length, 2);
  assert.equal(workers[1]?.busy, 2);
});

test("at the end all leave, and it is waited for", async () => {
  const { pool: made, workers, deliver } = pool(10);
  for (const uid of [1, 2, 3]) void deliver(uid);
  for (const worker of workers) worker.finish();
  await made.end();
  assert.ok(workers.every(({ ended }) => ended));
});

test("told to leave, all workers are told, and those that begin later", () => {
  const { pool: made, workers, deliver } = pool(10);
  void deliver(1);
  made.leave();
  void deliver(2);
  assert.deepEqual(
    workers.map(({ left }) => left),
    [true, true],
  );
});
