import assert from "node:assert/strict";
import { test } from "node:test";
import { cac } from "cac";
import fc from "fast-check";
import { protect, text, texts, wholeNumber } from "../../cli/arguments.ts";

/** What an action gets for `args`. */
function parse(args: readonly string[]): { flags: Record<string, unknown>; words: string[] } {
  const cli = cac("test");
  cli
    .command("send [...to]")
    .option("--subject <text>", "")
    .option("--lines <n>", "")
    .action(Object);
  cli.parse(["node", "test", ...protect(["send", ...args])], { run: false });
  return { flags: cli.options, words: texts(cli.args) };
}

test("a value arrives as it was written, whatever it looks like", () => {
  for (const value of ["007", "1e3", "0x10", "", " ", "1.50", "Infinity", "a=b", "7\n"]) {
    assert.deepEqual(text("subject", parse(["--subject", value]).flags.subject), {
      subject: value,
    });
    assert.deepEqual(parse([value]).words, [value]);
  }
  const value = fc.string().filter((some) => !some.startsWith("-"));
  fc.assert(
    fc.property(value, (some) => {
      assert.equal(text("subject", parse([`--subject=${some}`]).flags.subject).subject, some || "");
    }),
  );
});

test("texts() collects a repeated flag, text() refuses it", () => {
  const { flags } = parse(["--subject", "1", "--subject", "b"]);
  assert.deepEqual(texts(flags.subject), ["1", "b"]);
  assert.throws(() => text("subject", flags.subject), /--subject can be given only once/);
});

test("wholeNumber() takes whole numbers above 0 alone", () => {
  assert.equal(wholeNumber("lines", undefined, 50), 50);
  assert.equal(wholeNumber("lines", parse(["--lines", "12"]).flags.lines, 50), 12);
  for (const wrong of ["0", "1.5", "many", "", "1e3"]) {
    const { lines } = parse(["--lines", wrong]).flags;
    assert.throws(() => wholeNumber("lines", lines, 50), {
      message: `--lines needs a whole number above 0, not "${wrong}"`,
    });
  }
});

test("a lone - is a value, as of --file", () => {
  const cli = cac("test");
  cli.command("send [...words]").option("--file <path>", "x");
  cli.parse(["node", "test", ...protect(["send", "--file", "-", "-"])], { run: false });
  assert.deepEqual([texts(cli.options.file), texts(cli.args)], [["-"], ["-"]]);
});
