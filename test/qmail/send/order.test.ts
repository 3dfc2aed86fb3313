/**
 * Two things under way at once, and a number that comes back: file operations of the queue server and of qmail-send wait
 * or fail while something else happens (INTERNALS.md, "Orders").
 */

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { madeOf } from "../../../qmail/queue/made.ts";
import { networkQueue } from "../../../qmail/queue/network-queue.ts";
import { connectTo } from "./_actions.ts";
import { type Order, SendRig } from "./_send.ts";

const PRELOAD = fileURLToPath(new URL("./_faults.ts", import.meta.url));

class FaultyRig extends SendRig {
  constructor() {
    super();
    mkdirSync(join(this.home, "faults"));
  }

  override start(): Promise<void> {
    return super.start({ NODE_OPTIONS: `--import=${PRELOAD}` });
  }

  /** From now on `call` in `directory` of the queue fails with `code`, or waits when that is "hold". */
  fault(call: string, directory: string, code = "EIO"): void {
    writeFileSync(join(this.home, "faults", `${call}.${directory}`), code);
  }

  mend(): void {
    for (const name of readdirSync(join(this.home, "faults")))
      rmSync(join(this.home, "faults", name));
  }

  names(directory: string): string[] {
    return readdirSync(join(this.queue, directory));
  }

  text({ messid }: Order): string {
    return readFileSync(this.path("mess", messid), "latin1");
  }
}

test("found in todo while its sync is held back: its number is nobody else's before that has ended", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  rig.fault("fsync", "todo", "hold");
  const first = rig.put("me@far.test", ["one@mail.test"], "for one\n");
  await rig.until(() => rig.names("todo").length === 1, "the first message in todo");
  rig.pull();
  const one = await rig.order();
  assert.equal(one.recipient, "one@mail.test");
  one.report("Kdone\n");
  await rig.line(/^end msg /);
  const second = rig.put("me@far.test", ["two@mail.test"], "for two\n");
  await rig.until(() => rig.names("todo").length === 2, "the second message in todo");
  rig.mend();
  await Promise.all([first, second]);
  const two = await rig.order();
  assert.equal(two.recipient, "two@mail.test");
  assert.match(rig.text(two), /for two/);
  two.report("Kdone\n");
  await rig.until(() => rig.messages() === 0, "an empty queue");
  assert.equal(rig.orders, 0);
});

test("an action on a message whose sync of todo is held back", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  const client = await connectTo(rig);
  rig.fault("fsync", "todo", "hold");
  const first = rig.put("me@far.test", ["one@mail.test"], "for one\n");
  await rig.until(() => rig.names("todo").length === 1, "the first message in todo");
  const [id = ""] = rig.names("todo");
  const target = { id, made: madeOf(statSync(rig.path("mess", id))) };
  // Written down, it waits for the sync, too, before it may leave todo.
  const answers = client.act({ type: "delete" }, [target], 60)[Symbol.asyncIterator]();
  const answer = answers.next();
  // What was begun over this is awaited.
  const one = await rig.order();
  assert.equal(one.recipient, "one@mail.test");
  one.report("Znot now\n");
  await rig.until(() => rig.exists("info", id), "its info file");
  const second = rig.put("me@far.test", ["two@mail.test"], "for two\n");
  await rig.until(() => rig.names("todo").length === 2, "the second message in todo");
  rig.mend();
  await Promise.all([first, second]);
  const { value } = await answer;
  assert.equal(value?.outcome, "done");
  const two = await rig.order();
  assert.equal(two.recipient, "two@mail.test");
  assert.match(rig.text(two), /for two/);
  two.report("Kdone\n");
  await rig.until(() => rig.messages() === 0, "an empty queue");
  client.close();
});

test("the sync of todo fails for a message that qmail-send has: it stays its, and is delivered once", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  rig.fault("fsync", "todo", "hold");
  const put = rig.put("me@far.test", ["one@mail.test"]);
  const refused = assert.rejects(put);
  await rig.until(() => rig.names("todo").length === 1, "the message in todo");
  rig.pull();
  const order = await rig.order();
  rig.fault("fsync", "todo", "EIO");
  await refused;
  assert.ok(rig.exists("mess", order.messid));
  assert.ok(rig.exists("todo", order.messid));
  rig.mend();
  order.report("Kdone\n");
  await rig.gone(order.messid);
  assert.equal(rig.orders, 0);
});

test("the sync of todo fails for a message that nobody has seen: nothing is left", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  rig.fault("fsync", "todo", "EIO");
  await assert.rejects(rig.put("me@far.test", ["one@mail.test"]));
  await rig.until(() => rig.messages() === 0, "an empty queue");
  assert.deepEqual([rig.names("todo"), rig.names("intd"), rig.orders], [[], [], 0]);
});

test("todo/ID cannot be removed: mess/ID stays, others come in, and it is never delivered again", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  rig.fault("unlinkSync", "todo");
  await rig.put("me@far.test", ["one@mail.test"]);
  const one = await rig.order();
  one.report("Kdone\n");
  await rig.line(/qmail-clean unable to clean up todo/);
  assert.ok(rig.exists("mess", one.messid));
  for (let count = 0; count < 12; count++) {
    await rig.put("me@far.test", [`${count}@mail.test`], `text ${count}\n`);
    const order = await rig.order();
    assert.equal(order.recipient, `${count}@mail.test`);
    assert.match(rig.text(order), new RegExp(`text ${count}\\n`));
    order.report("Kdone\n");
  }
  // Reading todo finds what is done.
  rig.pull();
  rig.signal("SIGALRM");
  await rig.put("me@far.test", ["last@mail.test"]);
  const last = await rig.order();
  assert.equal(last.recipient, "last@mail.test");
  rig.mend();
  last.report("Kdone\n");
  rig.signal("SIGALRM");
  await rig.until(() => rig.messages() === 0, "an empty queue");
  assert.equal(rig.orders, 0);
});

test("intd/ID cannot be removed once: the message is tried again without a restart", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  await rig.put("me@far.test", ["one@mail.test"]);
  const first = await rig.order();
  rig.fault("unlinkSync", "intd");
  first.report("Znot now\n");
  await rig.line(/qmail-clean unable to clean up todo/);
  assert.ok(rig.exists("todo", first.messid));
  rig.mend();
  await rig.until(() => !rig.exists("todo", first.messid), "the end of todo");
  await rig.alarm();
  const second = await rig.order();
  assert.equal(second.messid, first.messid);
  second.report("Kdone\n");
  await rig.gone(first.messid);
});

test("what cannot be written down keeps what is done of it", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  await rig.put("me@far.test", ["done@mail.test", "later@mail.test"]);
  const orders = [await rig.order(), await rig.order()];
  rig.fault("openSync", "info", "ENOSPC");
  for (const order of orders) {
    order.report(order.recipient.startsWith("done") ? "Kdone\n" : "Znot now\n");
  }
  await rig.line(/unable to create info/);
  const id = orders[0]?.messid as string;
  // Everything at hand to have it tried: nothing of it may be delivered twice.
  for (let count = 0; count < 3; count++) {
    const from = rig.lines.length;
    rig.pull();
    rig.signal("SIGALRM");
    await rig.line(/unable to create info/, from);
  }
  assert.equal(rig.orders, 0);
  rig.mend();
  await rig.alarm();
  const again = await rig.order();
  assert.equal(again.recipient, "later@mail.test");
  again.report("Kdone\n");
  await rig.gone(id);
  assert.equal(rig.orders, 0);
});

test("what came half way when qmail-send left leaves no files", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  const queue = networkQueue(rig.home);
  await queue.connect();
  for (let count = 0; count < 20; count++) queue.open().put(Buffer.alloc(100_000, "x"));
  await rig.until(() => rig.messages() === 20, "what is on its way");
  await rig.stop();
  queue.end();
  await rig.until(() => rig.messages() === 0, "an empty queue");
  assert.ok(existsSync(rig.queue));
});

test("a queue server that outlives its qmail-send: no other begins before it has gone", async () => {
  await using rig = new FaultyRig();
  await rig.start();
  await rig.put("me@far.test", ["one@mail.test"]);
  const one = await rig.order();
  const [send = 0, server = 0] = rig.processes();
  process.kill(server, "SIGSTOP");
  try {
    // The removal lies in its link when its qmail-send is gone.
    one.report("Kdone\n");
    await rig.line(/^end msg /);
    process.kill(send, "SIGKILL");
    await rig.exit();
    rig.launch();
    assert.equal(await rig.exit(), 111);
    assert.deepEqual(rig.lines, ["alert: cannot start: qmail-send is already running"]);
  } finally {
    process.kill(server, "SIGCONT");
  }
  await rig.until(() => !existsSync(`/proc/${server}`), "its end");
  await rig.start();
  await rig.put("me@far.test", ["two@mail.test"], "for two\n");
  for (let order = await rig.order(); ; order = await rig.order()) {
    order.report("Kdone\n");
    if (order.recipient === "one@mail.test") continue;
    assert.match(rig.text(order), /for two/);
    break;
  }
  await rig.until(() => rig.messages() === 0, "an empty queue");
});
