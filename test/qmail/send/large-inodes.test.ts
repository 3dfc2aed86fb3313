/**
 * Inode numbers beyond 2^53, as the kernel gives them: on an overlay with xino=on, files of the lower
 * layer have them, and keep them when they are written, linked and renamed.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { messIdOf, splitOf } from "../../../qmail/queue/fmtqfn.ts";
import { checkQueue, SendRig } from "./_send.ts";

/** The queue of `rig` becomes an overlay whose lower layer, on another filesystem, has the files `names`; null: no overlay here. */
function overlay(rig: SendRig, names: readonly string[]): Disposable | null {
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => {
    mkdirSync(join(rig.home, name));
    return join(rig.home, name);
  }) as [string, string, string];
  const mounted: string[] = [];
  const mount = (type: string, options: string, at: string) => {
    execFileSync("mount", ["-t", type, "-o", options, type, at], { stdio: "ignore" });
    mounted.unshift(at);
  };
  const unmount = () => {
    for (const at of mounted) execFileSync("umount", ["-l", at]);
  };
  try {
    mount("tmpfs", "size=1m,mode=755", lower);
    execFileSync("cp", ["-a", `${rig.queue}/.`, lower]);
    for (const name of names) writeFileSync(join(lower, name), "");
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    mount("overlay", `xino=on,index=on,${layers}`, rig.queue);
    return { [Symbol.dispose]: unmount };
  } catch {
    unmount();
    return null;
  }
}

test("messages whose inode numbers are beyond 2^53 are delivered, settled, retried, and taken up after a stop", {
  skip: process.getuid?.() !== 0 && "needs root to mount an overlay",
}, async (t) => {
  await using rig = new SendRig();
  using mounted = overlay(rig, ["pid/1", "pid/2"]);
  if (!mounted) return t.skip("the kernel makes no overlay with xino=on here");
  const first = rig.todo("a@from.test", ["joe@mail.test"], "body\n", "pid/1");
  if (BigInt(first) < 2n ** 53n) return t.skip("inode numbers on this overlay are small");
  const second = rig.todo("a@from.test", ["ann@far.test", "bob@far.test"], "body\n", "pid/2");
  await rig.start();
  const orders = new Map(
    [await rig.order(), await rig.order(), await rig.order()].map((order) => [
      order.recipient,
      order,
    ]),
  );
  assert.equal(orders.get("joe@mail.test")?.messid, first);
  assert.equal(orders.get("ann@far.test")?.messid, second);
  orders.get("joe@mail.test")?.report("Kfine\n");
  orders.get("ann@far.test")?.report("Kfine\n");
  orders.get("bob@far.test")?.report("Znot now\n");
  await rig.gone(first);
  await rig.until(() => !rig.exists("todo", second), "the settling");
  assert.equal(rig.read("remote", second), "Dann@far.test\0Tbob@far.test\0");
  // Wrong by one, as a number would have it, the name would lie elsewhere.
  assert.notEqual(Number(second) % 23, splitOf(second));
  await rig.stop();
  assert.equal(messIdOf(statSync(rig.path("mess", second), { bigint: true }).ino), second);
  checkQueue(rig.queue);
  await rig.start();
  await rig.alarm();
  const again = await rig.order();
  assert.deepEqual([again.messid, again.recipient], [second, "bob@far.test"]);
  again.report("Dno\n");
  await rig.line(new RegExp(`^bounce msg ${second} qp `));
  await rig.line(new RegExp(`^end msg ${second}$`));
  await rig.gone(second);
  (await rig.order()).report("Kfine\n");
  await rig.stop();
});
