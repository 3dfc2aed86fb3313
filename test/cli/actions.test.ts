import assert from "node:assert/strict";
import { test } from "node:test";
import { cac } from "cac";
import { type ActionTable, actionCommand, actionHelp } from "../../cli/actions.ts";
import { protect } from "../../cli/arguments.ts";

const SHARED = { title: "Which", options: [{ flags: "--from <address>", what: "Of this one" }] };

/** What was run, with what. */
type Calls = unknown[];

function table(calls: Calls): ActionTable {
  const row = { groups: [SHARED], options: [], words: "" };
  const run = (name: string) => async (words: readonly string[], flags: object) => {
    calls.push([name, words, Object.keys(flags).filter((flag) => flag !== "--")]);
  };
  return {
    command: "queue",
    what: "What waits",
    usual: "list",
    examples: ["qmailctl queue list"],
    actions: [
      { ...row, name: "list", words: "[ID...]", what: "Show it", run: run("list") },
      {
        ...row,
        name: "drain",
        what: "Empty it",
        groups: [],
        options: [{ flags: "--dry-run", what: "Not yet" }],
        run: run("drain"),
      },
    ],
  };
}

async function call(...args: string[]): Promise<Calls> {
  const calls: Calls = [];
  const cli = cac("qmailctl");
  cli.option("--json", "A document");
  actionCommand(cli, table(calls));
  cli.parse(["node", "qmailctl", ...protect(args)], { run: false });
  await cli.runMatchedCommand();
  return calls;
}

test("an action gets its words and options; without one the usual is meant", async () => {
  assert.deepEqual(await call("queue"), [["list", [], []]]);
  assert.deepEqual(await call("queue", "list", "007", "--from", "x", "--json"), [
    ["list", ["007"], ["from", "json"]],
  ]);
  assert.deepEqual(await call("queue", "drain", "--dry-run"), [["drain", [], ["dryRun"]]]);
});

test("what an action does not take is an error that says who does, or what there is", async () => {
  const cases: readonly (readonly [readonly string[], RegExp, RegExp])[] = [
    [["list", "--dry-run"], /queue list takes no option "--dry-run"$/, /it goes with: drain$/],
    [["drain", "--from", "x"], /queue drain takes no option "--from"$/, /it goes with: list$/],
    [["drain", "12"], /queue drain takes no argument "12"$/, /see qmailctl queue drain --help$/],
    [["lits"], /there is no queue action "lits"$/, /did you mean "list"\?$/],
    [["7"], /there is no queue action "7"$/, /there is: list, drain$/],
  ];
  for (const [args, message, hint] of cases) {
    await assert.rejects(
      call("queue", ...args),
      (error: Error & { hints: string[]; code: number }) => {
        assert.match(error.message, message);
        assert.match(error.hints.join("\n"), hint);
        assert.equal(error.code, 100);
        return true;
      },
    );
  }
});

test("help tells of all actions, or of one with what it takes", () => {
  const globals = [{ flags: "--json", what: "A document" }];
  const text = (name?: string) =>
    actionHelp(table([]), name, globals)
      .map(({ title = "", body }) => `${title}\n${body}`)
      .join("\n\n");
  assert.match(text(), /Actions\n {2}list \[ID\.\.\.\] {2}Show it\n {2}drain {9}Empty it\n/);
  assert.match(text(), /Which\n {2}--from <address> {2}Of this one\n/);
  assert.match(text("drain"), /Usage\n {2}\$ qmailctl queue drain \[OPTION\.\.\.\]\n/);
  assert.match(text("drain"), /Options\n {2}--dry-run {2}Not yet\n {2}--json {5}A document$/);
  assert.doesNotMatch(text("drain"), /--from/);
});
