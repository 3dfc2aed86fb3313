import assert from "node:assert/strict";
import { test } from "node:test";
import { getopt } from "../../qmail/getopt.ts";

test("flags, clusters and arguments", () => {
  assert.deepEqual(getopt(["-ab", "-fx", "-f", "y", "z", "-a"], "abf:"), {
    options: [
      ["a", ""],
      ["b", ""],
      ["f", "x"],
      ["f", "y"],
    ],
    rest: ["z", "-a"],
  });
});

test("-- and a lone - end the options", () => {
  assert.deepEqual(getopt(["-a", "--", "-a"], "a"), { options: [["a", ""]], rest: ["-a"] });
  assert.deepEqual(getopt(["-", "-a"], "a"), { options: [], rest: ["-", "-a"] });
});

test("an argument may be empty, or look like an option", () => {
  assert.deepEqual(getopt(["-f", "", "-f", "-a"], "af:"), {
    options: [
      ["f", ""],
      ["f", "-a"],
    ],
    rest: [],
  });
});

test("an optional argument is never the next word", () => {
  assert.deepEqual(getopt(["-q", "-q30m", "x"], "q::"), {
    options: [
      ["q", ""],
      ["q", "30m"],
    ],
    rest: ["x"],
  });
});

test("what is wrong is named", () => {
  assert.equal(getopt(["-az"], "a"), 'unknown option "-z"');
  assert.equal(getopt(["-f"], "f:"), 'option "-f" needs an argument');
  assert.equal(getopt(["-:"], "f:"), 'unknown option "-:"');
  assert.equal(getopt(["--help"], "h"), 'unknown option "--help"');
});
