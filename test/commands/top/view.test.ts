import assert from "node:assert/strict";
import { test } from "node:test";
import kleur from "kleur";
import { columns } from "../../../commands/printable.ts";
import { share } from "../../../commands/top/arrange.ts";
import { TopModel } from "../../../commands/top/model.ts";
import { type Snapshot, snapshot } from "../../../commands/top/snapshot.ts";
import { newUi, type Ui, VIEWS } from "../../../commands/top/ui.ts";
import { plainView, view } from "../../../commands/top/view.ts";
import type { QueuedMessage } from "../../../qmail/queue/queue-read.ts";

const NOW = new Date(2026, 10, 24, 21, 3, 17).getTime();
const SIZES = [
  { width: 80, height: 24 },
  { width: 120, height: 40 },
  { width: 40, height: 10 },
  { width: 200, height: 60 },
  { width: 20, height: 5 },
];
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
const COLOURS = /\u001b\[[0-9;]*m/g;

/** Bytes that an address from the network may have: escapes, UTF-8, wide characters, what reverses text. */
const EVIL = Buffer.from(
  "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n\t\u202euser用户例子".repeat(8),
).toString("latin1");

function busy(evil = ""): Snapshot {
  const model = new TopModel(0);
  const line = (ago: number, text: string, service = "qmail-send") =>
    model.line(NOW - ago, text, service);
  for (let n = 1; n <= 60; n++) {
    line(59_000 - n, `info msg ${n}: bytes ${n * 100} from <ann${n}${evil}@a.test> qp ${n} uid 0`);
    line(58_000 - n, `starting delivery ${n}: msg ${n} to remote bob${n}@host${n % 9}.test${evil}`);
    if (n % 3 === 0) line(50_000 - n, `delivery ${n}: success: 192.0.2.1_accepted_message./`);
    if (n % 7 === 1) line(50_000 - n, `delivery ${n}: deferral: ${evil}no_${n % 5}_such_host/`);
  }
  line(500, "status: local 0/10 remote 20/20");
  line(
    400,
    `smtpd: 1.1 event=refused-sender ip=192.0.2.1 from=<${evil}> reply=553 no${evil}`,
    "qmail-smtpd",
  );
  line(300, `alert: ${evil}unable to opendir`);
  const queued = Array.from(
    { length: 50 },
    (_, n): QueuedMessage => ({
      id: String(n + 1),
      size: 1000 * n,
      birth: NOW - n * 60_000,
      made: NOW - n * 60_000,
      sender: `ann${n}${evil}@a.test`,
      state: "preprocessed",
      bouncing: false,
      retry: { local: null, remote: NOW + 125_000 },
      recipients: [{ channel: "remote", address: `bob${n}${evil}@b.test`, done: false }],
    }),
  );
  return snapshot(
    model,
    {
      home: "/var/qmail",
      me: `mail.example.test${evil}`,
      queue: { todo: 12, info: 1222, local: 3, remote: 1219, bounce: 2 },
      messages: queued,
      moreMessages: true,
      connections: new Map([["smtpd", { open: 3, clients: new Map([["192.0.2.1", 3]]) }]]),
      send: null,
      held: new Map(),
      senders: new Map(),
      services: [
        { name: "qmail-send", state: "up", pid: 1, paused: false, restarts: 0, failures: 0 },
        {
          name: `qmail-smtpd${evil}`,
          state: "waiting",
          pid: null,
          paused: false,
          restarts: 3,
          failures: 3,
        },
      ],
    },
    NOW,
  );
}

const MODES: readonly Ui["mode"][] = [
  { type: "table" },
  { type: "help" },
  { type: "filter", text: "用户\x1b[2J" },
  { type: "confirm", action: "delete", id: "7", what: "delete message 7 for good" },
  { type: "page", title: "Message 7", lines: ["a".repeat(500), "用".repeat(100)], top: 0 },
];

test("every picture is as high as the screen and no wider, and holds nothing but colours that steers it", () => {
  const before = kleur.enabled;
  kleur.enabled = true;
  try {
    for (const snap of [busy(), busy(EVIL)]) {
      for (const size of SIZES) {
        for (const name of VIEWS) {
          for (const mode of MODES) {
            const ui = { ...newUi(2000), view: name, mode };
            const { lines } = view(snap, ui, size);
            assert.equal(lines.length, size.height);
            for (const line of lines) {
              const text = line.replace(COLOURS, "");
              assert.doesNotMatch(text, /[\p{Cc}\p{Cf}]/u, `${name}: ${JSON.stringify(line)}`);
              assert.ok(columns(text) <= size.width, `${name} ${size.width}: ${text}`);
            }
          }
        }
      }
    }
  } finally {
    kleur.enabled = before;
  }
});

/** The picture of `ui` as text. */
function text(ui: Partial<Ui>, { width, height } = { width: 80, height: 24 }): string {
  const before = kleur.enabled;
  kleur.enabled = false;
  try {
    return view(busy(), { ...newUi(2000), ...ui }, { width, height }).lines.join("\n");
  } finally {
    kleur.enabled = before;
  }
}

test("80 columns by 24 lines: who, how fast, how much, what is slow, what fails, which keys", () => {
  const shown = text({});
  assert.match(shown, /^ qmailctl top {2}mail\.example\.test +every 2s {2}21:03:17 $/m);
  assert.match(shown, /^ in +0 +1\.0 +0\.20 │ waits {2}todo 12 {2}local 3 {2}remote 1,219$/m);
  assert.match(shown, /^ per second +1 s +1 min +5 min │ queue {2}1,234 messages {2}bouncing 2$/m);
  assert.match(shown, /│ busy {3}local 0\/10 {2}remote 20\/20$/m);
  assert.match(shown, /│ doors {2}smtpd 3$/m);
  assert.match(shown, /│ runs {3}qmail-smtpd waiting/m);
  assert.match(shown, /^ +58s +2 +remote +ann2@a\.test +bob2@host2\.test/m);
  assert.match(shown, /^destination +now +mean +longest +ok +deferred +failed$/m);
  assert.match(shown, /^ +\d+ +21:02:\d\d +deferral +no \d such host/m);
  assert.match(shown, /q quit .* r retry/);
});

test("a narrow and low screen has what matters most", () => {
  const shown = text({}, { width: 40, height: 10 });
  assert.match(shown, /\/s in 1\.0 del 0\.33 def 0\.15 fai 0/);
  assert.match(shown, /^queue 1,234 {2}local 0\/10 {2}remote 20\/20$/m);
  assert.match(shown, /bob2@host2/);
});

test("a wide screen shows more of each row", () => {
  const shown = text({ view: "errors" }, { width: 120, height: 40 });
  assert.match(shown, /count▾ +last +kind +what +whom +$/m);
  assert.match(shown, /deferral +no 3 such host +bob43@host7\.test/);
});

test("sorting, filtering and the cursor do what they say", () => {
  const { sorts } = newUi(2000);
  const byAge = text({ view: "messages" });
  assert.match(byAge, /age▾[^\n]*\n +50 +49m/);
  const turned = text({
    view: "messages",
    sorts: { ...sorts, messages: { column: 1, down: false } },
  });
  assert.match(turned, /age▴[^\n]*\n +1 +0ms/);
  const filtered = text({ view: "deliveries", filter: "bob2@" });
  assert.match(filtered, /bob2@host2\.test/);
  assert.doesNotMatch(filtered, /bob4@/);
  const nothing = text({ view: "deliveries", filter: "xyz" });
  assert.match(nothing, /Nothing of that has "xyz"\./);
  // Far down the list: it has moved.
  assert.match(text({ view: "messages", chosen: "message 3" }), /^ +3 +2m +/m);
  assert.match(text({ view: "messages" }), /3 messages 50\+/);
});

test("lines are dealt out evenly, to none more than it wants", () => {
  assert.deepEqual(share(12, [100, 100, 100]), [4, 4, 4]);
  assert.deepEqual(share(12, [1, 100, 3]), [1, 8, 3]);
  assert.deepEqual(share(12, [1, 2, 3]), [1, 2, 3]);
  assert.deepEqual(share(2, [5, 5, 5]), [1, 1, 0]);
  assert.deepEqual(share(-3, [5, 5]), [0, 0]);
});

test("as text for scripts: the head and every table", () => {
  const before = kleur.enabled;
  kleur.enabled = false;
  const lines = plainView(busy(), newUi(2000), { width: 100, most: 3 });
  kleur.enabled = before;
  const all = lines.join("\n");
  for (const title of ["recipient", "destination", "count", "door"])
    assert.match(all, new RegExp(title));
  assert.equal(lines.filter((line) => /remote +ann\d+@a\.test +bob\d+@host/.test(line)).length, 3);
});
