import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { LogTail, liveLogs } from "../../../commands/log/tail.ts";
import { LogDirectory } from "../../../qmail/multilog/log-directory.ts";
import { formatTai64n } from "../../../qmail/multilog/tai64n.ts";

const START = Date.UTC(2026, 10, 24, 12);
const ALL = { since: 0, bytes: Number.POSITIVE_INFINITY };

function withDirectory(work: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-tail-"));
  try {
    work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function stamped(ms: number, text: string): string {
  return `${formatTai64n(ms)} ${text}\n`;
}

/** All that `tail` has to give now. */
function read(tail: LogTail): string {
  let text = "";
  tail.read((chunk) => {
    text += chunk.toString("latin1");
  });
  return text;
}

test("every line comes once and in order, however often the log is turned over between two readings", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant("read" as const), fc.integer({ min: 1, max: 30 })), {
        maxLength: 60,
      }),
      (steps) =>
        withDirectory((directory) => {
          const log = new LogDirectory(directory, { size: 300, files: 50 });
          const tail = new LogTail(join(directory, "current"), ALL);
          let written = "";
          let seen = "";
          let now = START;
          for (const step of steps) {
            if (step === "read") seen += read(tail);
            else {
              for (let n = 0; n < step; n++) {
                const line = stamped(++now, `line ${now - START}`);
                log.write(Buffer.from(line), now);
                written += line;
              }
            }
          }
          seen += read(tail);
          tail.close();
          log.close();
          assert.equal(seen, written);
        }),
    ),
    { numRuns: 40 },
  );
});

test("begins at a time, in the file before when that is there", () => {
  withDirectory((directory) => {
    const log = new LogDirectory(directory, { size: 40_000, files: 10 });
    for (let n = 0; n < 5000; n++) {
      log.write(Buffer.from(stamped(START + n * 1000, `line ${n}`)), START + n * 1000);
    }
    for (const from of [0, 1, 700, 2500, 4000, 4999]) {
      const options = { since: START + from * 1000, bytes: Number.POSITIVE_INFINITY };
      const tail = new LogTail(join(directory, "current"), options);
      const numbers = [...read(tail).matchAll(/line (\d+)/g)].map(([, n]) => Number(n));
      tail.close();
      assert.ok(tail.whole);
      assert.equal(numbers.at(-1), 4999);
      const [first = Number.NaN] = numbers;
      assert.ok(first <= from && first > from - 400, `from ${from}: begins with ${first}`);
      assert.equal(numbers.length, 5000 - first);
    }
    log.close();
  });
});

test("a bound of bytes cuts off the oldest, at a line", () => {
  withDirectory((directory) => {
    const path = join(directory, "current");
    const lines = Array.from({ length: 1000 }, (_, n) => stamped(START + n, `line ${n}`));
    writeFileSync(path, lines.join(""));
    const tail = new LogTail(path, { since: 0, bytes: 10_000 });
    const text = read(tail);
    tail.close();
    assert.ok(!tail.whole);
    assert.ok(text.length <= 10_000 && text.length > 9900);
    assert.ok(text.startsWith("@") && lines.join("").endsWith(text));
  });
});

test("a little at a time", () => {
  withDirectory((directory) => {
    const path = join(directory, "current");
    writeFileSync(path, "x".repeat(1_000_000));
    const tail = new LogTail(path, ALL);
    let count = 0;
    let turns = 1;
    while (tail.read((chunk) => (count += chunk.length), 100_000)) turns++;
    tail.close();
    assert.equal(count, 1_000_000);
    assert.ok(turns > 2);
  });
});

test("a plain file: renamed and begun anew, cut off, gone for a moment", () => {
  withDirectory((directory) => {
    const path = join(directory, "mail.log");
    writeFileSync(path, "1\n");
    const tail = new LogTail(path, ALL);
    assert.equal(tail.name, "mail.log");
    assert.equal(read(tail), "1\n");
    appendFileSync(path, "2\n");
    renameSync(path, `${path}.1`);
    assert.equal(read(tail), "2\n");
    appendFileSync(`${path}.1`, "3\n");
    writeFileSync(path, "4\n");
    assert.equal(read(tail), "3\n4\n");
    truncateSync(path, 0);
    assert.equal(read(tail), "");
    appendFileSync(path, "5\n");
    assert.equal(read(tail), "5\n");
    unlinkSync(path);
    assert.equal(read(tail), "");
    tail.close();
  });
});

test("a finished file that a processor has written anew is not read again", () => {
  withDirectory((directory) => {
    const path = join(directory, "current");
    writeFileSync(path, "1\n");
    const tail = new LogTail(path, ALL);
    assert.equal(read(tail), "1\n");
    writeFileSync(join(directory, `${formatTai64n(START)}.s`), "processed\n");
    writeFileSync(join(directory, `${formatTai64n(START + 1000)}.s`), "2\n");
    unlinkSync(path);
    writeFileSync(path, "3\n");
    assert.equal(read(tail), "2\n3\n");
    tail.close();
  });
});

test("the logs of a tree: those of multilog, also beside others", () => {
  withDirectory((directory) => {
    for (const name of ["smtpd", "pop3d", "empty"]) mkdirSync(join(directory, name));
    for (const name of ["current", "smtpd/current", "pop3d/current"]) {
      writeFileSync(join(directory, name), "");
    }
    const found = ["current", "pop3d/current", "smtpd/current"].map((name) =>
      join(directory, name),
    );
    assert.deepEqual(liveLogs(directory), found);
    assert.deepEqual(liveLogs(join(directory, "current")), [join(directory, "current")]);
  });
});
