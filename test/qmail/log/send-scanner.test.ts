import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type SendLines, SendScanner } from "../../../qmail/log/send-scanner.ts";
import * as log from "../../../qmail/send/log.ts";

/** What the scanner says of `line`, in the parser's form; null for a line that is not its own. */
function scanned(line: string): unknown {
  const bytes = Buffer.from(line, "latin1");
  const text = (from: number, to: number) => bytes.toString("latin1", from, to);
  const said: unknown[] = [];
  const outcomes: Record<number, string> = { 107: "success", 122: "deferral", 100: "failure" };
  const lines: SendLines = {
    newMsg: (id) => said.push({ type: "new", id: String(id) }),
    infoMsg: (id, info, from, to) =>
      said.push({ type: "info", id: String(id), ...info, sender: text(from, to) }),
    starting: (delivery, id, local, from, to) =>
      said.push({
        type: "starting",
        id: String(id),
        delivery,
        channel: local ? "local" : "remote",
        recipient: text(from, to),
      }),
    delivery: (delivery, outcome, from, to) =>
      said.push({ type: "delivery", delivery, outcome: outcomes[outcome], text: text(from, to) }),
    mangled: (delivery) => said.push({ type: "mangled", delivery }),
    status: (lu, ll, ru, rl) =>
      said.push({
        type: "status",
        local: { used: lu, limit: ll },
        remote: { used: ru, limit: rl },
        exitasap: line.endsWith(" exitasap"),
      }),
    bounceMsg: (id, qp) => said.push({ type: "bounce", id: String(id), qp }),
    endMsg: (id) => said.push({ type: "end", id: String(id) }),
    tripleBounce: () => said.push("triple"),
    exiting: () => said.push({ type: "exiting" }),
    trouble: (from, to) => said.push(text(from, to)),
  };
  const known = new SendScanner(lines).scan(bytes, 0, bytes.length);
  assert.equal(said.length, known ? 1 : 0);
  return said[0] ?? null;
}

const id = fc.integer({ min: 1 }).map(String);
const number = fc.nat();
/** Addresses that could be taken for the words round them. */
const address = fc.string({ unit: fc.constantFrom(..."ab@<>.", "_qp_1", "> qp") });

test("the scanner reads every line as the parser does", () => {
  const line = fc.oneof(
    id.map(log.newMsg),
    id.map(log.endMsg),
    fc.tuple(id, number).map(([m, qp]) => log.bounceMsg(m, qp)),
    fc
      .tuple(id, fc.record({ bytes: number, sender: address, qp: number, uid: number }))
      .map(([m, info]) => log.infoMsg(m, info)),
    fc
      .tuple(id, number, fc.constantFrom(...log.CHANNELS), address)
      .map(([m, delivery, channel, recipient]) =>
        log.startingDelivery(m, { delivery, channel, recipient }),
      ),
    fc
      .tuple(number, fc.constantFrom("success", "deferral", "failure" as const), fc.string())
      .map(([n, outcome, text]) => log.delivery(n, outcome as log.Outcome, text)),
    fc
      .tuple(number, number, fc.boolean())
      .map(([used, limit, end]) =>
        log.status({ local: { used, limit }, remote: { used: limit, limit: used } }, end),
      ),
    fc.constant(log.EXITING),
  );
  fc.assert(
    fc.property(line, (written) => {
      const text = written.slice(0, -1);
      assert.deepEqual(scanned(text), { ...log.parseLogLine(text) });
    }),
  );
});

test("lines that the parser leaves alone", () => {
  assert.deepEqual(scanned(log.reportMangled(7).trimEnd()), { type: "mangled", delivery: 7 });
  assert.equal(scanned(log.tripleBounce("bounce/5").trimEnd()), "triple");
  assert.equal(
    scanned("alert: oh no! lost spawn connection! dying..."),
    "alert: oh no! lost spawn connection! dying...",
  );
});

test("what is nearly a line is none, whatever its bytes", () => {
  for (const text of [
    "",
    "n",
    "new msg",
    "new msg x",
    "end msg 5 ",
    "delivery 5: maybe: x",
    "info msg 5: bytes 3 from <a> qp 4 uid ",
  ]) {
    assert.equal(scanned(text), null, text);
  }
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      scanned(text);
    }),
  );
});
