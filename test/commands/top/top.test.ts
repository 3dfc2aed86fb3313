/** The real thing in a real terminal. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";
import { fmtqfn, SPLIT } from "../../../qmail/queue/fmtqfn.ts";
import { LAUNCHER, lacks, qmailctl } from "../../site/_site.ts";
import { TestTerminal } from "./_terminal.ts";

const SIZE = { width: 80, rows: 24 };
const needs = { skip: lacks("script", "stty") };
const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/** A home with a log and a queue, as a mail server that does nothing of itself has. */
class Home {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-top-"));

  constructor() {
    for (const name of ["todo", "bounce"])
      mkdirSync(join(this.path, "queue", name), { recursive: true });
    for (const name of ["mess", "info", "local", "remote"]) {
      for (let split = 0; split < SPLIT; split++) {
        mkdirSync(join(this.path, "queue", name, String(split)), { recursive: true });
      }
    }
    mkdirSync(join(this.path, "log/qmail-send"), { recursive: true });
    mkdirSync(join(this.path, "control"));
    writeFileSync(join(this.path, "control/me"), "mail.example.test\n");
    writeFileSync(this.log, "");
  }

  get log(): string {
    return join(this.path, "log/qmail-send/current");
  }

  say(...lines: string[]): void {
    const stamp = formatTai64n(Date.now());
    appendFileSync(this.log, lines.map((line) => `${stamp} ${line}\n`).join(""), "latin1");
  }

  add(id: string, sender: string, recipient: string): void {
    const file = (directory: "mess" | "info" | "remote", text: string) =>
      writeFileSync(join(this.path, "queue", fmtqfn(directory, id)), text, "latin1");
    file("mess", `Subject: about\x1b[2J ${id}\nX-Evil: \x1b]0;owned\x07\n\nbody\n`);
    file("remote", `T${recipient}\0`);
    file("info", `F${sender}\0`);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** `qmailctl top` in a terminal. */
function start(home: Home, options = "--interval 0.1", env: NodeJS.ProcessEnv = {}): TestTerminal {
  const command = `'${process.execPath}' '${LAUNCHER}' --home '${home.path}' top ${options}`;
  return new TestTerminal(command, SIZE, env);
}

/** The terminal takes lines and echoes, as a shell wants it. */
function assertRestored(terminal: TestTerminal, stty: string): void {
  assert.ok(!terminal.alternate, "the other screen is still shown");
  assert.ok(terminal.written.includes(LEAVE), "cursor or wrapping were not restored");
  assert.match(stty, /(?<!-)\bicanon\b/);
  assert.match(stty, /(?<!-)\becho\b/);
  assert.match(stty, /(?<!-)\bisig\b/);
}

test(
  "shows what comes, does what keys say, follows rotations, and leaves the terminal in order",
  needs,
  async () => {
    using home = new Home();
    home.add("4711", "ann@a.test", "bob@slow.test");
    home.say(
      "info msg 4711: bytes 300 from <ann@a.test> qp 1 uid 0",
      "starting delivery 1: msg 4711 to remote bob@slow.test",
      "status: local 0/10 remote 1/20",
    );
    const terminal = start(home);
    try {
      await terminal.shows(/qmailctl top {2}mail\.example\.test/);
      await terminal.shows(/4711 {2}remote +ann@a\.test +bob@slow\.test/);
      await terminal.shows(/queue {2}1 message/);

      home.say(
        "info msg 4712: bytes 300 from <carol@a.test> qp 1 uid 0",
        "starting delivery 2: msg 4712 to remote dave@dead.test",
        "delivery 2: deferral: Sorry,_I_wasn't_able_to_establish_an_SMTP_connection._(#4.4.1)/",
      );
      await terminal.shows(/deferral +Sorry, I wasn't able to establish an SMTP connectio…/);
      await terminal.shows(/^dead\.test .* 1 +·$/m);

      renameSync(home.log, join(home.path, `log/qmail-send/${formatTai64n(Date.now())}.s`));
      writeFileSync(home.log, "");
      home.say("starting delivery 3: msg 4713 to local eve@here.test");
      await terminal.shows(/4713 {2}local/);

      terminal.type("4");
      await terminal.shows(/mean▾/);
      terminal.type("s");
      await terminal.shows(/longest▾/);
      terminal.type("2/bob\r");
      await terminal.until(
        ({ screen }) => /only "bob"/.test(screen) && !/eve@/.test(screen),
        "not filtered",
      );
      terminal.type("\x1b");
      await terminal.shows(/eve@here\.test/);

      terminal.type("3");
      await terminal.shows(/^ +4711 .* ann@a\.test +bob@slow\.test/m);
      terminal.type("\r");
      await terminal.shows(/Subject: about\?\[2J 4711/);
      await terminal.shows(/X-Evil: \?\]0;owned\?/);
      terminal.type("q");
      await terminal.shows(/waiting|trying/);

      terminal.type("q");
      const stty = await terminal.left();
      assert.match(stty, /left with 0/);
      assertRestored(terminal, stty);
    } finally {
      await terminal.end();
    }
  },
);

test("nothing that comes from the network steers the terminal", needs, async () => {
  using home = new Home();
  const evil = "\x1b[2J\x1b]0;owned\x07\x9b5m\x1bc";
  home.say(
    `info msg 7: bytes 300 from <${evil}> qp 1 uid 0`,
    `starting delivery 1: msg 7 to remote ${evil}@slow.test`,
    `starting delivery 2: msg 7 to remote x@${evil}`,
    `delivery 2: failure: ${evil}/`,
    `alert: ${evil}`,
  );
  home.add("7", evil, evil);
  const terminal = start(home);
  try {
    await terminal.shows(/\?\[2J\?\]0;owned\?/);
    for (const [key, title] of [
      ["2", /since▾/],
      ["3", /age▾/],
      ["4", /mean▾/],
      ["5", /count▾/],
    ] as const) {
      terminal.type(key);
      await terminal.shows(title);
      await terminal.shows(/\?\[2j/i);
      terminal.type("\r");
      await terminal.shows(/any other key goes back/);
      terminal.type("x");
      await terminal.shows(title);
    }
    // `shows` reads every sequence that was written, and knows those of ours alone.
    terminal.type("q");
    assertRestored(terminal, await terminal.left());
  } finally {
    await terminal.end();
  }
});

test(
  "another size of the terminal is taken at once; only what has changed is written",
  needs,
  async () => {
    using home = new Home();
    home.say("starting delivery 1: msg 7 to remote bob@slow.test");
    const terminal = start(home, "--interval 1");
    try {
      await terminal.shows(/bob@slow\.test/);
      const before = terminal.written.length;
      await terminal.until(
        ({ written }) => written.length > before,
        "nothing was written any more",
      );
      // The clock and the ages are a few lines.
      const change = terminal.written.slice(before);
      assert.ok(change.length < 700 && !change.includes("\x1b[2J"), `${change.length} bytes`);
      assert.equal(terminal.width, 80);
      spawnSync("stty", ["-F", terminal.device, "cols", "50", "rows", "12"]);
      await terminal.until(({ width }) => width === 50, "the size is still the old one");
      await terminal.shows(/bob@slow\.test/);
      terminal.type("q");
      assertRestored(terminal, await terminal.left());
    } finally {
      await terminal.end();
    }
  },
);

for (const [what, end, code] of [
  ["Ctrl-C", (terminal: TestTerminal) => terminal.type("\x03"), 0],
  ["SIGTERM", (_: TestTerminal, pid: number) => process.kill(pid, "SIGTERM"), 0],
  ["SIGINT", (_: TestTerminal, pid: number) => process.kill(pid, "SIGINT"), 0],
  ["a crash", (_: TestTerminal, pid: number) => process.kill(pid, "SIGUSR2"), 7],
] as const) {
  test(`${what} leaves the terminal in order`, needs, async () => {
    using home = new Home();
    const crash = `process.on("SIGUSR2", () => { throw new Error("boom"); });
      process.on("exit", (code) => { if (code === 1) process.exitCode = 7; });
      require("node:fs").writeFileSync(${JSON.stringify(join(home.path, "pid"))}, String(process.pid));`;
    writeFileSync(join(home.path, "crash.cjs"), crash);
    const terminal = start(home, "", { NODE_OPTIONS: `--require=${join(home.path, "crash.cjs")}` });
    try {
      await terminal.shows(/per second/);
      end(terminal, Number(readFileSync(join(home.path, "pid"), "utf8")));
      const stty = await terminal.left();
      assert.match(stty, new RegExp(`left with ${code}\\b`));
      if (code !== 0) assert.match(terminal.written, /boom/);
      assertRestored(terminal, stty);
    } finally {
      await terminal.end();
    }
  });
}

test("Ctrl-Z gives the terminal back until it goes on", needs, async () => {
  using home = new Home();
  // A shell with job control, as a person has it.
  const command = `set -m; '${process.execPath}' '${LAUNCHER}' --home '${home.path}' top; echo stopped; stty -a; fg`;
  const terminal = new TestTerminal(command, SIZE, { SHELL: "/bin/bash" });
  try {
    await terminal.shows(/per second/);
    terminal.type("\x1a");
    await terminal.until(({ written }) => /stopped[\s\S]* echo /.test(written), "it does not stop");
    assert.match(terminal.written.slice(terminal.written.indexOf("stopped")), /(?<!-)\bicanon\b/);
    await terminal.until(({ alternate }) => alternate, "it does not go on");
    await terminal.shows(/per second/);
    terminal.type("q");
    assertRestored(terminal, await terminal.left());
  } finally {
    await terminal.end();
  }
});

test("where nobody could let it go on, Ctrl-Z does not end it", needs, async () => {
  using home = new Home();
  const terminal = start(home);
  try {
    await terminal.shows(/per second/);
    const before = terminal.written.length;
    terminal.type("\x1a");
    await terminal.until(
      ({ written }) => /1049l.*1049h.*per second/s.test(written.slice(before)),
      "it does not come back",
    );
    terminal.type("q");
    assertRestored(terminal, await terminal.left());
  } finally {
    await terminal.end();
  }
});

test("without a terminal that can place text it says what to do instead", needs, async () => {
  using home = new Home();
  const piped = await qmailctl(["--home", home.path, "top"]);
  assert.equal(piped.code, 111);
  assert.match(
    piped.stderr,
    /top needs a terminal: standard output is no terminal\n.*qmailctl top --once/,
  );
  const dumb = start(home, "", { TERM: "dumb" });
  try {
    const left = await dumb.left();
    assert.match(left, /left with 111/);
    assert.match(dumb.written, /TERM is "dumb"[\s\S]*--once/);
    assert.ok(!dumb.written.includes("\x1b[?1049h"));
  } finally {
    await dumb.end();
  }
});

test("--once: one look as text, or as a document", async () => {
  using home = new Home();
  home.add("4711", "ann@a.test", "bob@slow.test");
  home.say(
    "info msg 4711: bytes 300 from <ann@a.test> qp 1 uid 0",
    "starting delivery 1: msg 4711 to remote bob@slow.test",
    "starting delivery 2: msg 4711 to remote \xfcx@fast.test",
    "delivery 2: success: 192.0.2.1_accepted_message./",
  );
  const text = await qmailctl(["--home", home.path, "top", "--once"]);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /queue {2}1 message/);
  assert.match(text.stdout, /4711 {2}remote +ann@a\.test +bob@slow\.test/);
  assert.ok(!text.stdout.includes("\x1b"));
  assert.doesNotMatch(text.stdout, / $/m);
  const json = JSON.parse(
    (await qmailctl(["--home", home.path, "top", "--once", "--json"])).stdout,
  );
  assert.equal(json.me, "mail.example.test");
  assert.equal(json.queue.messages, 1);
  assert.equal(json.rates.in["1m"], 1 / 60);
  assert.equal(json.deliveries[0].recipient, "bob@slow.test");
  assert.deepEqual(
    json.destinations.map(({ name, delivered }: { name: string; delivered: number }) => [
      name,
      delivered,
    ]),
    [
      ["fast.test", 1],
      ["slow.test", 0],
    ],
  );
});

test("a log elsewhere, and none", async () => {
  using home = new Home();
  const other = join(home.path, "elsewhere.log");
  const now = new Date();
  const stamp = now.toISOString();
  writeFileSync(other, `${stamp} mail qmail: starting delivery 1: msg 7 to local bob@here.test\n`);
  const shown = await qmailctl(["--home", home.path, "top", "--once", "--file", other]);
  assert.match(shown.stdout, /local +bob@here\.test/);
  rmSync(join(home.path, "log"), { recursive: true });
  const none = await qmailctl([
    "--home",
    home.path,
    "top",
    "--once",
    "--file",
    join(home.path, "log"),
  ]);
  assert.equal(none.code, 111);
  assert.match(none.stderr, /cannot read the log: .*\n[\s\S]*--file/);
  const nobody = await qmailctl(["--home", join(home.path, "nowhere"), "top", "--once"]);
  assert.equal(nobody.code, 111);
  assert.match(nobody.stderr, /no mail server is installed in/);
  const wrong = await qmailctl(["--home", home.path, "top", "--interval", "never"]);
  assert.equal(wrong.code, 100);
  assert.match(wrong.stderr, /--interval needs seconds/);
});
