import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { Connections, formatAddress, parseSockets } from "../../../commands/top/connections.ts";

test("addresses as the kernel writes them", () => {
  assert.equal(formatAddress("0100007F"), "127.0.0.1");
  assert.equal(formatAddress("00000000000000000000000001000000"), "::1");
  assert.equal(formatAddress("0000000000000000FFFF00000A02000A"), "10.0.2.10");
  assert.equal(formatAddress("B80D0120000000000000000001000000"), "2001:db8::1");
});

test("rows of /proc/net/tcp", () => {
  const text =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
    "   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1605 1 000000000ec75e95 100 0 0 10 0\n" +
    "  11: 0100007F:0019 0200007F:9D9B 01 00000000:00000000 03:00000041 00000000     0        0 77 3 000000007c043452\n";
  assert.deepEqual(parseSockets(text), [
    { address: "00000000", port: 25, remote: "00000000", state: "0A", inode: "1605" },
    { address: "0100007F", port: 25, remote: "0200007F", state: "01", inode: "77" },
  ]);
});

for (const host of ["127.0.0.1", "::", "0.0.0.0"]) {
  test(`connections to a door that listens on ${host} are counted by client, others are not`, async (t) => {
    const server = createServer().listen(0, host);
    const other = createServer().listen(0, "127.0.0.1");
    try {
      await Promise.all([once(server, "listening"), once(other, "listening")]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAFNOSUPPORT") throw error;
      t.skip("no IPv6 here");
      return;
    }
    const port = (each: typeof server) => (each.address() as { port: number }).port;
    const sockets = [port(server), port(server), port(server), port(other)].map((at) =>
      connect(at, "127.0.0.1"),
    );
    try {
      await Promise.all(sockets.map((socket) => once(socket, "connect")));
      const connections = new Connections();
      // This process listens on both: the other server is taken out again.
      const all = connections.read([{ name: "here", pid: process.pid }]).get("here");
      assert.deepEqual([...(all?.clients ?? [])], [["127.0.0.1", 4]]);
      other.close();
      sockets[3]?.destroy();
      await once(other, "close");
      const fewer = new Connections().read([{ name: "here", pid: process.pid }]).get("here");
      assert.equal(fewer?.open, 3);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
}

test("a process that is not there has no connections", () => {
  assert.equal(new Connections().read([{ name: "gone", pid: 2 ** 30 }]).size, 0);
  assert.equal(new Connections().read([]).size, 0);
});
