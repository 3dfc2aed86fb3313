import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { LogDirectory } from "../../../qmail/multilog/log-directory.ts";
import { parseScript, select } from "../../../qmail/multilog/script.ts";
import { syslogLines } from "../../../qmail/multilog/splogger.ts";
import { Stamper } from "../../../qmail/multilog/stamper.ts";
import { formatTai64n, parseTai64n } from "../../../qmail/multilog/tai64n.ts";
import { programPath } from "../../../qmail/programs.ts";
import { run, until } from "../../site/_site.ts";

function temporary(t: { after(fn: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-multilog-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("a TAI64N stamp can be read back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), (ms) => {
      assert.equal(parseTai64n(`${formatTai64n(ms)} text`), ms);
    }),
  );
  assert.equal(formatTai64n(0), "@400000000000000a00000000");
  assert.equal(parseTai64n("no stamp"), null);
});

test("every line gets its stamp, however it is cut", () => {
  const line = fc.string({ unit: fc.constantFrom("a", "b", " ") });
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
      const text = lines.map((each) => `${each}\n`).join("");
      const stamper = new Stamper();
      let out = "";
      let rest = text;
      for (const cut of cuts) {
        out += stamper.push(rest.slice(0, cut), "S ");
        rest = rest.slice(cut);
      }
      out += stamper.push(rest, "S ") + stamper.end("S ");
      assert.equal(out, lines.map((each) => `S ${each}\n`).join(""));
    }),
  );
});

test("a last line without newline is written at the end", () => {
  const stamper = new Stamper();
  assert.equal(stamper.push("one\ntwo", "S "), "S one\n");
  assert.equal(stamper.end("S "), "S two\n");
  assert.equal(stamper.end("S "), "");
});

test("a full log file is finished and old ones are removed", (t) => {
  const directory = temporary(t);
  const log = new LogDirectory(directory, { size: 100, files: 3 });
  for (let at = 0; at < 10; at++) log.write(Buffer.from(`${"x".repeat(59)}\n`), at * 1000);
  log.close();
  const names = readdirSync(directory).sort();
  assert.equal(names.length, 3);
  assert.match(names[0] ?? "", /^@[0-9a-f]{24}\.s$/);
  assert.equal(statSync(join(directory, "current")).mode & 0o777, 0o744);
  assert.equal(readFileSync(join(directory, "current"), "utf8").length, 60);
});

test("a clock that goes back: the order of the files is that of their lines, and the newest stay", (t) => {
  const directory = temporary(t);
  const log = new LogDirectory(directory, { size: 100, files: 4 });
  // Each line fills a file; the clock goes on, back by a year, stands still, and goes on.
  const year = 365 * 86_400_000;
  const times = [0, 1, 2, 3, 4].map((at) => 2 * year + at * 1000);
  const back = [0, 0, 0, 1, 1].map((at) => year + at * 1000);
  const all = [...times, ...back, 3 * year, 3 * year];
  for (const [at, now] of all.entries()) {
    log.write(Buffer.from(`${String(at).padStart(59, "x")}\n`), now);
    const kept = readdirSync(directory)
      .sort()
      .map((name) => readFileSync(join(directory, name), "latin1"));
    const numbers = kept.map((text) => Number.parseInt(text.replace(/^x+/, ""), 10));
    const wanted = Array.from({ length: Math.min(at + 1, 4) }, (_, before) => at - before);
    assert.deepEqual(numbers, wanted.reverse());
  }
  log.close();
});

test("a stamp's nanoseconds carry over", (t) => {
  const directory = temporary(t);
  writeFileSync(join(directory, "@400000007fffffff3b9ac9ff.s"), "newest\n");
  const log = new LogDirectory(directory, { size: 10, files: 5 });
  log.write(Buffer.from("one line\n"), 1000);
  log.write(Buffer.from("another\n"), 2000);
  log.close();
  assert.deepEqual(readdirSync(directory).sort(), [
    "@400000007fffffff3b9ac9ff.s",
    "@400000008000000000000000.s",
    "current",
  ]);
});

test("no file is larger than it may be, and lines are cut only where one is", (t) => {
  const directory = temporary(t);
  const log = new LogDirectory(directory, { size: 100, files: 9 });
  const lines = ["a".repeat(59), "b".repeat(30), "c".repeat(9), "d".repeat(250), "e"];
  // As one read of many lines brings them.
  log.write(Buffer.from(lines.map((line) => `${line}\n`).join("")), 1000);
  log.close();
  const texts = readdirSync(directory)
    .sort()
    .map((name) => readFileSync(join(directory, name), "latin1"));
  assert.deepEqual(texts, [
    `${lines[0]}\n${lines[1]}\n`,
    `${lines[2]}\n`,
    "d".repeat(100),
    "d".repeat(100),
    `${"d".repeat(50)}\ne\n`,
  ]);
});

test("parseScript() names what it cannot do", () => {
  assert.match(String(parseScript(["./a", "frob"])), /"frob" is no action/);
  assert.match(String(parseScript(["sx", "./a"])), /"sx" needs a number/);
  assert.match(String(parseScript(["=", "./a"])), /"=" needs a file/);
  assert.match(String(parseScript(["t"])), /no directory/);
  assert.match(String(parseScript(["-*"])), /no directory/);
});

test("numbers beyond what multilog takes count as the nearest", () => {
  for (const [word, limits] of [
    ["s1", { size: 4096, files: 10 }],
    ["s99999999", { size: 16_777_215, files: 10 }],
    ["n1", { size: 99_999, files: 2 }],
    ["n0", { size: 99_999, files: 2 }],
  ] as const) {
    const script = parseScript([word, "./a"]);
    assert.ok(typeof script !== "string");
    assert.deepEqual(script.actions, [
      { type: "directory", directory: "./a", limits, processor: null },
    ]);
  }
});

test("patterns: the last that matches decides", () => {
  const script = parseScript(["-*", "+*fail*", "+a*: b", "./x"]);
  assert.ok(typeof script !== "string");
  const cases = [
    ["delivery 1: failure", true],
    ["off: failure", false],
    ["fail", true],
    ["anything: b", true],
    ["anything: c", false],
  ] as const;
  // A star stops at the first character that follows it: "*fail*" needs the first f to begin "fail".
  for (const [line, expected] of cases) {
    let selected = true;
    for (const action of script.actions) {
      if (action.type === "select") selected = select(action, { line, selected });
    }
    assert.equal(selected, expected, line);
  }
});

const PROGRAM = programPath("multilog/multilog");

/** multilog with its standard input open. */
function multilog(t: TestContext, cwd: string, args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd });
  t.after(() => child.kill("SIGKILL"));
  const said = { text: "" };
  child.stderr.on("data", (chunk) => {
    said.text += chunk;
  });
  return { child, said, ended: once(child, "exit") };
}

test("e and = in their place among the patterns", async (t) => {
  const directory = temporary(t);
  const long = "x".repeat(1500);
  const args = ["-drop*", "=first", "e", "-*x*", "=second", "+*", "./all"];
  const input = `drop this\nkeep\n${long}\n`;
  const { child, said, ended } = multilog(t, directory, args);
  child.stdin.end(input);
  assert.equal((await ended)[0], 0);
  assert.equal(said.text, `keep\n${"x".repeat(200)}...\n`);
  const read = (name: string) => readFileSync(join(directory, name), "latin1");
  assert.equal(read("first"), `${"x".repeat(1000)}\n`);
  assert.equal(read("second"), "keep".padEnd(1001, "\n"));
  assert.equal(read("all/current"), input);
});

test("SIGALRM finishes files that have something in them, and loses nothing", async (t) => {
  const directory = temporary(t);
  const { child, said, ended } = multilog(t, directory, ["./a", "-*", "./empty"]);
  const current = () => {
    try {
      return readFileSync(join(directory, "a/current"), "latin1");
    } catch {
      return "";
    }
  };
  child.stdin.write("one\n");
  await until(() => current() === "one\n", "the first line");
  child.kill("SIGALRM");
  await until(() => readdirSync(join(directory, "a")).some((name) => name.startsWith("@")), "it");
  child.stdin.end("two\n");
  assert.deepEqual([(await ended)[0], said.text], [0, ""]);
  const [finished = ""] = readdirSync(join(directory, "a")).filter((name) => /^@/.test(name));
  assert.equal(readFileSync(join(directory, "a", finished), "latin1"), "one\n");
  assert.equal(current(), "two\n");
  assert.deepEqual(readdirSync(join(directory, "empty")).sort(), ["current", "lock"]);
});

test("one multilog at a time writes into a directory", async (t) => {
  const directory = temporary(t);
  const first = multilog(t, directory, ["./a"]);
  first.child.stdin.write("one\n");
  const one = () => {
    try {
      return readFileSync(join(directory, "a/current"), "latin1") === "one\n";
    } catch {
      return false;
    }
  };
  await until(one, "the first line");
  const second = multilog(t, directory, ["./a"]);
  second.child.stdin.end("other\n");
  assert.equal((await second.ended)[0], 111);
  const why = "unable to lock directory ./a: another multilog writes there";
  assert.equal(second.said.text, `multilog: fatal: ${why}\n`);
  first.child.stdin.end("two\n");
  assert.equal((await first.ended)[0], 0);
  assert.equal(readFileSync(join(directory, "a/current"), "latin1"), "one\ntwo\n");
});

test("a processor makes the finished files, with a state from one to the next", async (t) => {
  const directory = temporary(t);
  const command = 'n=$(cat <&4); echo "i$n" >&5; echo "processed $n"; tr a-z A-Z';
  const args = ["s4096", "n9", `!${command}`, "./a", "!", "./b"];
  const line = `${"x".repeat(99)}\n`;
  const { child, said, ended } = multilog(t, directory, args);
  child.stdin.end(line.repeat(100));
  assert.deepEqual([(await ended)[0], said.text], [0, ""]);
  const read = (name: string) =>
    readdirSync(join(directory, name))
      .filter((each) => /^@/.test(each))
      .sort()
      .map((each) => readFileSync(join(directory, name, each), "latin1"));
  const upper = line.toUpperCase().repeat(40);
  assert.deepEqual(read("a"), [`processed \n${upper}`, `processed i\n${upper}`]);
  assert.deepEqual(read("b"), [line.repeat(40), line.repeat(40)]);
  assert.deepEqual(
    readdirSync(join(directory, "a")).filter((name) => !/^@/.test(name)),
    ["current", "lock", "state"],
  );
});

test("what cannot be written or processed now is tried until it can be, and no line is lost", async (t) => {
  const directory = temporary(t);
  const command = "test -e ok && cat";
  const { child, said, ended } = multilog(t, directory, [`!cd ${directory}; ${command}`, "./a"]);
  child.stdin.write("one\n");
  await until(() => existsSync(join(directory, "a/current")), "the file");
  await until(() => readFileSync(join(directory, "a/current"), "latin1") === "one\n", "a line");
  child.kill("SIGALRM");
  await until(() => said.text !== "", "the warning");
  assert.match(
    said.text,
    /^multilog: warning: unable to finish \.\/a\/current, pausing: the processor has left with 1\n/,
  );
  writeFileSync(join(directory, "ok"), "");
  child.stdin.end("two\n");
  assert.equal((await ended)[0], 0);
  const texts = readdirSync(join(directory, "a"))
    .filter((name) => /^(@|current)/.test(name))
    .sort()
    .map((name) => readFileSync(join(directory, "a", name), "latin1"));
  assert.deepEqual(texts, ["one\n", "two\n"]);
});

test("multilog as a program", async (t) => {
  const directory = temporary(t);
  const program = programPath("multilog/multilog");
  const args = [program, "t", "s5000", `${directory}/all`, "-*", "+keep*", `${directory}/some`];
  const result = await run(process.execPath, args, { input: "keep this\ndrop this\n" });
  assert.equal(result.code, 0, result.stderr);
  assert.match(
    readFileSync(join(directory, "all/current"), "latin1"),
    /^@\w{24} keep this\n@\w{24} drop this\n$/,
  );
  assert.match(readFileSync(join(directory, "some/current"), "latin1"), /^@\w{24} keep this\n$/);
  const wrong = await run(process.execPath, [program, "frob"]);
  assert.equal(wrong.code, 100);
  assert.match(wrong.stderr, /^multilog: fatal: "frob" is no action/);
});

test("syslogLines() sets the priority, makes bytes safe and folds", () => {
  assert.equal(syslogLines("new msg 1", "1.0", 2), "<22>1.0 new msg 1\n");
  assert.equal(syslogLines("warning: x\ty", "1.0", 2), "<20>1.0 warning: x?y\n");
  assert.equal(syslogLines("alert: x", "1.0", 1), "<9>1.0 alert: x\n");
  assert.equal(syslogLines("x".repeat(801), "1.0", 2), `<22>1.0 ${"x".repeat(800)}\n<22>1.0+x\n`);
});

test("splogger passes everything on to standard error", async () => {
  const result = await run(process.execPath, [programPath("multilog/splogger"), "qmail"], {
    input: "status: local 0/10\nnew msg 5\n",
  });
  assert.equal(result.code, 0);
  assert.equal(result.stderr, "status: local 0/10\nnew msg 5\n");
});
