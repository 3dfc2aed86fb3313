/** recordio records what ucspi-tcp's records, and changes nothing of what goes through. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { programPath } from "../../../qmail/programs.ts";
import { recordLines } from "../../../qmail/tcpserver/recordio.ts";
import { lacks } from "../../site/_site.ts";

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly record: readonly string[];
}

/** Runs a recordio with `input`, which may end before the program does; pids become PID. */
async function play(
  recordio: readonly string[],
  args: readonly string[],
  input: string,
): Promise<Run> {
  const [command = "", ...rest] = [...recordio, ...args];
  const child = spawn(command, rest);
  let [out, err] = ["", ""];
  child.stdout.setEncoding("latin1").on("data", (text) => (out += text));
  child.stderr.setEncoding("latin1").on("data", (text) => (err += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input, "latin1");
  const [code] = await once(child, "close");
  return { code, out, record: err.replace(/^\d+ /gm, "PID ").split("\n").slice(0, -1) };
}

const OURS = [process.execPath, programPath("tcpserver/recordio")];

const RUNS: readonly (readonly [what: string, args: readonly string[], input: string, Run])[] = [
  [
    "lines and an end without one",
    ["cat"],
    "hello\nworld",
    {
      code: 0,
      out: "hello\nworld",
      record: [
        "PID < hello ",
        "PID < world+",
        "PID < [EOF]",
        "PID > hello ",
        "PID > world+",
        "PID > [EOF]",
      ],
    },
  ],
  [
    "bytes as they are, the exit code, what the program itself says",
    ["sh", "-c", "cat; echo said >&2; exit 7"],
    "a\0b\xff\r\n\n",
    {
      code: 7,
      out: "a\0b\xff\r\n\n",
      record: [
        "PID < a\0b\xff\r ",
        "PID <  ",
        "PID < [EOF]",
        "PID > a\0b\xff\r ",
        "PID >  ",
        "said",
        "PID > [EOF]",
      ],
    },
  ],
  [
    "packets of 256 bytes",
    ["sh", "-c", "cat >/dev/null"],
    "x".repeat(600),
    {
      code: 0,
      out: "",
      record: [
        `PID < ${"x".repeat(256)}+`,
        `PID < ${"x".repeat(256)}+`,
        `PID < ${"x".repeat(88)}+`,
        "PID < [EOF]",
        "PID > [EOF]",
      ],
    },
  ],
];

for (const [what, args, input, expected] of RUNS) {
  test(what, async () => {
    // What goes in, what comes out and what the program says: only each by itself has an order.
    const sorted = ({ record, ...rest }: Run) => ({
      ...rest,
      input: record.filter((line) => line.startsWith("PID <")),
      output: record.filter((line) => line.startsWith("PID >")),
      said: record.filter((line) => !line.startsWith("PID ")),
    });
    assert.deepEqual(sorted(await play(OURS, args, input)), sorted(expected));
    if (lacks("recordio")) return;
    const theirs = await play(["recordio"], args, input);
    assert.deepEqual(sorted(theirs).input, sorted(expected).input);
    assert.deepEqual([theirs.code, theirs.out], [expected.code, expected.out]);
  });
}

test("who asks for nothing, and for a program that is not there", async () => {
  const none = await play(OURS, [], "");
  assert.deepEqual(
    [none.code, none.record],
    [100, ["recordio: usage: recordio program [ arg ... ]"]],
  );
  const missing = await play(OURS, ["/nonexistent"], "");
  assert.equal(missing.code, 111);
  assert.deepEqual(missing.record, [
    "recordio: fatal: unable to run /nonexistent: file does not exist",
  ]);
});

test("the program ends though its client does not", async () => {
  const child = spawn(OURS[0] as string, [...OURS.slice(1), "sh", "-c", "echo bye"]);
  const [code] = await once(child, "close");
  assert.equal(code, 0);
});

test("the client goes away: the program is not left behind", async () => {
  const child = spawn(OURS[0] as string, [
    ...OURS.slice(1),
    "sh",
    "-c",
    "while echo more; do :; done",
  ]);
  child.stderr.resume();
  await once(child.stdout, "data");
  child.stdout.destroy();
  const [code] = await once(child, "exit");
  assert.notEqual(code, null);
});

test("no byte is lost from the record, whatever the packets", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (array) => {
      const bytes = Buffer.from(array);
      const lines = [...recordLines(7, "<", bytes)].map((line) => line.toString("latin1"));
      const back = lines.map((line) => {
        assert.ok(line.startsWith("7 < ") && line.length <= 256 + 6);
        return line.slice(4, -2) + (line.endsWith(" \n") ? "\n" : "");
      });
      assert.equal(back.join(""), bytes.toString("latin1"));
    }),
  );
});
