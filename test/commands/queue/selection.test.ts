import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UNKNOWN } from "../../../commands/queue/attempts.ts";
import { parseHeader } from "../../../commands/queue/header.ts";
import { compile, isEverything, type Selection } from "../../../commands/queue/selection.ts";
import type { QueuedMessage, QueuedRecipient } from "../../../qmail/queue/queue-read.ts";

const NOW = Date.UTC(2026, 10, 24, 12);
const HOUR = 3_600_000;

function recipient(address: string, fields: Partial<QueuedRecipient> = {}): QueuedRecipient {
  return { channel: "remote", address, done: false, ...fields };
}

const MESSAGE: QueuedMessage = {
  id: "1234",
  size: 2048,
  made: 1,
  birth: NOW - 2 * HOUR,
  sender: "Ann@from.test",
  state: "preprocessed",
  bouncing: false,
  recipients: [
    recipient("bob@to.test"),
    recipient("joe@here.test", { channel: "local" }),
    recipient("old@done.test", { done: true }),
  ],
  retry: { local: NOW - 1, remote: NOW + HOUR },
};

/** What selectMessages does, but for reading. */
function selects(selection: Selection, message = MESSAGE): boolean {
  const { id, head, message: rest } = compile(selection, NOW);
  return id(message.id) && head(message.sender, message.birth) && rest(message);
}

const CASES: readonly (readonly [string, Selection, boolean])[] = [
  ["nothing asked for", {}, true],
  ["the sender, in other capitals", { from: ["ann@FROM.test"] }, true],
  ["a part of the sender", { from: ["ann"] }, false],
  ["a pattern", { from: ["a?n@*"] }, true],
  ["in brackets", { from: ["<ann@from.test>"] }, true],
  ["all at a domain", { from: ["@from.test"] }, true],
  ["a dot is a dot", { from: ["ann@from?test", "ann.from.test"] }, true],
  ["a dot is no question mark", { from: ["ann.from.test"] }, false],
  ["nobody", { from: [""] }, false],
  ["any of several", { from: ["x@y", "ann@*"] }, true],
  ["a recipient", { to: ["bob@to.test"] }, true],
  ["one that is done", { to: ["old@done.test"] }, false],
  ["a channel", { channel: ["local"] }, true],
  ["a recipient on that channel", { to: ["bob@*"], channel: ["local"] }, false],
  ["a recipient of that domain", { to: ["bob@*"], domain: ["here.test"] }, false],
  ["the sender's domain", { domain: ["from.test"] }, true],
  ["the sender's domain, and a recipient", { domain: ["from.test"], to: ["bob@*"] }, true],
  ["a recipient's domain", { domain: ["@*.test"] }, true],
  ["a domain of nobody", { domain: ["rom.test"] }, false],
  ["a domain of who is done", { domain: ["done.test"] }, false],
  ["older", { older: ["1h59m"] }, true],
  ["not older", { older: ["2h"] }, false],
  ["older than a date", { older: ["2026-11-24T11:00Z"] }, true],
  ["younger", { younger: ["1d"] }, true],
  ["between", { older: ["1h"], younger: ["3h"] }, true],
  ["larger", { larger: ["1.5k"] }, true],
  ["not larger", { larger: ["2k"] }, false],
  ["smaller", { smaller: ["1M"] }, true],
  ["due", { state: ["due"] }, true],
  ["waiting", { state: ["waiting"] }, false],
  ["one of several states", { state: ["todo,due"] }, true],
  ["an id", { id: ["#1234"] }, true],
  ["ids", { id: ["7", "1,1234"] }, true],
  ["a range of ids", { id: ["1000-"] }, true],
  ["another range", { id: ["-1000,2000-3000"] }, false],
  ["a pattern of ids", { id: ["12??"] }, true],
  ["all must hold", { from: ["ann@*"], id: ["7"] }, false],
];

for (const [title, selection, expected] of CASES) {
  test(`select: ${title}`, () => assert.equal(selects(selection), expected));
}

test("states: what is new, waits, is bounced, is done", () => {
  const states = (fields: Partial<QueuedMessage>) =>
    ["todo", "due", "waiting", "bouncing", "done", "held"].filter((state) =>
      selects({ state: [state] }, { ...MESSAGE, ...fields }),
    );
  const done = MESSAGE.recipients.map((each) => ({ ...each, done: true }));
  assert.deepEqual(states({ state: "todo" }), ["todo"]);
  assert.deepEqual(states({ retry: { local: NOW + 1, remote: NOW + HOUR } }), ["waiting"]);
  assert.deepEqual(states({ held: true, bouncing: true }), ["bouncing", "held"]);
  assert.deepEqual(states({ bouncing: true }), ["due", "bouncing"]);
  assert.deepEqual(states({ recipients: done, bouncing: true }), ["bouncing"]);
  assert.deepEqual(states({ recipients: done }), ["done"]);
  assert.deepEqual(states({ recipients: [] }), ["done"]);
});

test("a message whose recipients are all done is still its sender's", () => {
  const ended = { ...MESSAGE, recipients: [], bouncing: true };
  assert.equal(selects({ domain: ["from.test"] }, ended), true);
  assert.equal(selects({ domain: ["to.test"] }, ended), false);
  assert.equal(selects({ channel: ["remote"] }, ended), false);
});

test("the recipients asked for, one by one", () => {
  const test = compile({ domain: ["to.test"], channel: ["remote"] }, NOW).recipient;
  const chosen = MESSAGE.recipients.filter((each) => test(each, MESSAGE.sender));
  assert.deepEqual(
    chosen.map(({ address }) => address),
    ["bob@to.test"],
  );
});

test("subject and header fields: found anywhere, decoded, unfolded, any of a name", () => {
  const header = parseHeader(
    Buffer.from(
      "Subject: =?utf-8?q?Rechnung_f=C3=BCr?=\n =?iso-8859-1?B?IEr2cmc=?=\nX-Spam: no\nx-spam: YES,\n\tvery\n\nX-Spam: body\n",
    ),
  );
  const found = (selection: Selection) => compile(selection, NOW).header?.(header);
  assert.equal(found({}), undefined);
  assert.equal(found({ subject: ["für Jörg"] }), true);
  assert.equal(found({ subject: ["rechnung*jörg"] }), true);
  assert.equal(found({ subject: ["Mahnung"] }), false);
  assert.equal(found({ header: ["X-Spam: yes*very"] }), true);
  assert.equal(found({ header: ["X-Spam:"] }), true);
  assert.equal(found({ header: ["X-Spam: body"] }), false);
  assert.equal(found({ header: ["X-Other:"] }), false);
  assert.equal(found({ header: ["X-Spam: no"], subject: ["Mahnung"] }), false);
});

test("errors and tries: what the log may hide makes no match", () => {
  const attempts = { ...UNKNOWN, tries: 3, exact: true, error: "Sorry,_(#4.4.1)/" };
  const matches = (selection: Selection, fields = {}) =>
    compile(selection, NOW).attempts?.({ ...attempts, ...fields });
  assert.equal(matches({}), undefined);
  assert.equal(matches({ error: ["#4.4.?"] }), true);
  assert.equal(matches({ error: ["sorry, (#4"] }), true);
  assert.equal(matches({ error: ["#5"] }), false);
  assert.equal(matches({ error: ["*"] }, { error: null }), false);
  assert.equal(matches({ tries: ["3"] }), true);
  assert.equal(matches({ tries: ["1,3-5"] }), true);
  assert.equal(matches({ tries: ["-2"] }), false);
  assert.equal(matches({ tries: ["3"] }, { exact: false }), false);
  assert.equal(matches({ tries: ["-5"] }, { exact: false }), false);
  assert.equal(matches({ tries: ["2-"] }, { exact: false }), true);
});

const WRONG: readonly (readonly [Selection, RegExp])[] = [
  [{ id: ["abc"] }, /"abc" is no message id/],
  [{ id: ["0123"] }, /"0123" is no message id/],
  [{ id: ["-"] }, /"-" is no message id/],
  [{ older: ["3"] }, /--older needs an age or a date, not "3"/],
  [{ younger: ["2h x"] }, /--younger needs an age/],
  [{ larger: ["big"] }, /--larger needs a size, not "big"/],
  [{ state: ["wating"] }, /there is no state "wating"/],
  [{ channel: ["smtp"] }, /there is no channel "smtp"/],
  [{ tries: ["3+"] }, /--tries needs a number or a range, not "3\+"/],
  [{ header: ["Subject"] }, /--header needs a field's name/],
];

for (const [selection, message] of WRONG) {
  test(`what makes no sense is said: ${JSON.stringify(selection)}`, () => {
    assert.throws(() => compile(selection, NOW), { name: "CommandError", message, code: 100 });
  });
}

test("everything is meant when nothing is asked for, wherever the log is", () => {
  assert.ok(isEverything({ log: "x", from: [] }));
  assert.ok(!isEverything({ from: [""] }));
});

/** Addresses of few letters, so that patterns meet them. */
const WORD = fc.string({ unit: fc.constantFrom("a", "b", ".", "+", "$", "("), maxLength: 5 });

test("a pattern matches as each of its pieces in turn would", () => {
  const pattern = fc.array(fc.oneof(WORD, fc.constantFrom("*", "?", "**")), { maxLength: 5 });
  fc.assert(
    fc.property(pattern, WORD, (pieces, text) => {
      const sender = `x${text}`;
      const expected = matchesSlowly(`x${pieces.join("")}`, sender);
      assert.equal(selects({ from: [`x${pieces.join("")}`] }, { ...MESSAGE, sender }), expected);
    }),
  );
});

/** By trying everything. */
function matchesSlowly(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const [first = "", rest] = [pattern[0], pattern.slice(1)];
  if (first === "*") {
    return Array.from({ length: text.length + 1 }, (_, at) => text.slice(at)).some((tail) =>
      matchesSlowly(rest, tail),
    );
  }
  return text !== "" && (first === "?" || first === text[0]) && matchesSlowly(rest, text.slice(1));
}

test("ranges agree with comparing numbers, to the largest id there is", () => {
  const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(id, id, id, (value, from, to) => {
      const within = value >= from && value <= to;
      const message = { ...MESSAGE, id: String(value) };
      assert.equal(selects({ id: [`${from}-${to}`] }, message), within);
      assert.equal(selects({ id: [`${from}-`] }, message), value >= from);
      assert.equal(selects({ id: [`-${to}`] }, message), value <= to);
      assert.equal(selects({ id: [String(from), String(value)] }, message), true);
    }),
  );
});

test("more conditions never select more, more values never fewer", () => {
  const value = fc.constantFrom("ann@from.test", "*", "x@y", "@from.test", "bob@to.test");
  const part = fc.record(
    {
      from: fc.array(value, { minLength: 1, maxLength: 2 }),
      to: fc.array(value, { minLength: 1, maxLength: 2 }),
      domain: fc.array(fc.constantFrom("from.test", "to.test", "nowhere"), { minLength: 1 }),
      state: fc.array(fc.constantFrom("due", "todo", "waiting"), { minLength: 1 }),
      older: fc.array(fc.constantFrom("1h", "3h"), { minLength: 1 }),
      larger: fc.array(fc.constantFrom("1k", "1M"), { minLength: 1 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(part, fc.string(), (selection, more) => {
      if (!selects(selection)) return;
      for (const [name, values] of Object.entries(selection)) {
        const { [name as keyof Selection]: _, ...fewer } = selection as Selection;
        assert.ok(selects(fewer), `without ${name}`);
        if (name === "from" || name === "to") {
          assert.ok(selects({ ...selection, [name]: [...(values as string[]), more] }));
        }
      }
    }),
  );
});
