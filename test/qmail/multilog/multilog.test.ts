import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { LogDirectory } from "../../../qmail/multilog/log-directory.ts";
import { parseScript, selects } from "../../../qmail/multilog/script.ts";
import { syslogLines } from "../../../qmail/multilog/splogger.ts";
import { Stamper } from "../../../qmail/multilog/stamper.ts";
import { formatTai64n, parseTai64n } from "../../../qmail/multilog/tai64n.ts";
import { programPath } from "../../../qmail/programs.ts";
import { run } from "../../site/_site.ts";

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

test("parseScript() names what it cannot do", () => {
  assert.match(String(parseScript(["./a", "!gzip"])), /"!gzip" is not supported/);
  assert.match(String(parseScript(["s1", "./a"])), /"s1" needs a number/);
  assert.match(String(parseScript(["t"])), /no directory/);
});

test("patterns: the last that matches decides", () => {
  const script = parseScript(["-*", "+*fail*", "+a*: b", "./x"]);
  assert.ok(typeof script !== "string");
  const [target] = script.targets;
  assert.ok(target);
  const cases = [
    ["delivery 1: failure", true],
    ["off: failure", false],
    ["fail", true],
    ["anything: b", true],
    ["anything: c", false],
  ] as const;
  // A star stops at the first character that follows it: "*fail*" needs the first f to begin "fail".
  for (const [line, expected] of cases) assert.equal(selects(target, line), expected, line);
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
  assert.match(wrong.stderr, /^multilog: fatal: "frob" is not supported/);
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
