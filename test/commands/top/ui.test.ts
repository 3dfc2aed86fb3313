import assert from "node:assert/strict";
import { test } from "node:test";
import { changes, keyName } from "../../../commands/top/screen.ts";
import type { Row } from "../../../commands/top/table.ts";
import { type Command, newUi, press, type Ui } from "../../../commands/top/ui.ts";

function row(number: number, id: string | null = String(number)): Row {
  return { key: `row ${number}`, id, cells: [], more: [] };
}

const ROWS = Array.from({ length: 20 }, (_, at) => row(at));

/** What a person comes to who presses `keys` one after the other. */
function pressed(
  keys: readonly string[],
  { rows = ROWS }: { rows?: readonly Row[] } = {},
): { ui: Ui; commands: Command[] } {
  let ui = newUi(2000);
  const commands: Command[] = [];
  for (const key of keys) {
    const next = press(ui, key, { rows, page: 5 });
    ui = next.ui;
    if (next.command) commands.push(next.command);
  }
  return { ui, commands };
}

test("the cursor moves by rows and pages, and not beyond the ends", () => {
  const chosen = (...keys: string[]) => pressed(keys).ui.chosen;
  assert.equal(chosen("down"), "row 1");
  assert.equal(chosen("j", "j", "k"), "row 1");
  assert.equal(chosen("up"), "row 0");
  assert.equal(chosen("pagedown", "pagedown"), "row 10");
  assert.equal(chosen("G"), "row 19");
  assert.equal(chosen("G", "down"), "row 19");
  assert.equal(chosen("G", "pageup"), "row 14");
  assert.equal(chosen("G", "g"), "row 0");
  assert.equal(pressed(["down"], { rows: [] }).ui.chosen, null);
});

test("the cursor stays on its row when the rows are sorted anew", () => {
  const { ui } = pressed(["down", "down"]);
  const moved = press(ui, "down", { rows: ROWS.toReversed(), page: 5 });
  assert.equal(moved.ui.chosen, "row 1");
});

test("panels by number, forwards and backwards", () => {
  const shown = (...keys: string[]) => pressed(keys).ui.view;
  assert.equal(shown("3"), "messages");
  assert.equal(shown("tab"), "deliveries");
  assert.equal(shown("shift-tab"), "doors");
  assert.equal(shown("6", "right"), "overview");
  assert.equal(shown("7"), "overview");
});

test("sorting goes through the columns, numbers from the largest", () => {
  const sort = (...keys: string[]) => pressed(["4", ...keys]).ui.sorts.destinations;
  assert.deepEqual(sort(), { column: 2, down: true });
  assert.deepEqual(sort("s"), { column: 3, down: true });
  assert.deepEqual(sort("s", "v"), { column: 3, down: false });
  assert.deepEqual(sort("S", "S"), { column: 0, down: false });
  assert.match(pressed(["s"]).ui.notice, /choose a panel/);
});

test("a filter takes every key until it is kept or given up", () => {
  const keys = ["/", "q", "space", "r", "é", "backspace"];
  assert.deepEqual(pressed(keys).ui.filter, "q r");
  assert.deepEqual(pressed(keys).commands, []);
  const kept = pressed([...keys, "return"]).ui;
  assert.deepEqual([kept.mode.type, kept.filter], ["table", "q r"]);
  assert.equal(pressed([...keys, "escape"]).ui.filter, "");
  assert.equal(pressed([...keys, "return", "escape"]).ui.filter, "");
  assert.equal(pressed(["/", "a", "ctrl-u", "b"]).ui.filter, "b");
});

test("what destroys asks first, and only y is yes", () => {
  assert.deepEqual(pressed(["down", "r"]).commands, [{ type: "act", action: "retry", id: "1" }]);
  const asked = pressed(["down", "d"]);
  assert.deepEqual(asked.commands, []);
  assert.deepEqual(asked.ui.mode, {
    type: "confirm",
    action: "delete",
    id: "1",
    what: "delete message 1, without a word to anybody",
  });
  const yes = [{ type: "act", action: "delete", id: "1" }];
  assert.deepEqual(pressed(["down", "d", "y"]).commands, yes);
  for (const no of ["n", "return", "d", "escape", "space"]) {
    assert.deepEqual(pressed(["down", "d", no]).commands, []);
    assert.equal(pressed(["down", "d", no]).ui.mode.type, "table");
  }
});

test("an action on a row without a message says so, until the next key", () => {
  const rows = [row(1, null)];
  assert.match(pressed(["d"], { rows }).ui.notice, /about no message/);
  assert.equal(pressed(["d"], { rows }).ui.mode.type, "table");
  assert.equal(pressed(["d", "x"], { rows }).ui.notice, "");
});

test("leaving works from everywhere", () => {
  const quit = [{ type: "quit" }];
  assert.deepEqual(pressed(["q"]).commands, quit);
  for (const before of [["/"], ["?"], ["d"], ["2"]]) {
    assert.deepEqual(pressed([...before, "ctrl-c"]).commands, quit);
  }
  assert.deepEqual(pressed(["ctrl-z"]).commands, [{ type: "suspend" }]);
});

test("pause, and how often", () => {
  assert.equal(pressed(["space"]).ui.paused, true);
  assert.equal(pressed(["space", "space"]).ui.paused, false);
  assert.equal(pressed(["+"]).ui.interval, 5000);
  assert.equal(pressed(["-", "-", "-", "-"]).ui.interval, 500);
});

test("keys have names, and nothing that is none is typed", () => {
  assert.equal(keyName("c", { name: "c", ctrl: true }), "ctrl-c");
  assert.equal(keyName("\t", { name: "tab", shift: true }), "shift-tab");
  assert.equal(keyName(undefined, { name: "up" }), "up");
  assert.equal(keyName("\r", { name: "return" }), "return");
  assert.equal(keyName("\n", { name: "enter" }), "return");
  assert.equal(keyName("G", { name: "g", shift: true }), "G");
  assert.equal(keyName("/", {}), "/");
  assert.equal(keyName("é", {}), "é");
  assert.equal(keyName(" ", { name: "space" }), "space");
  assert.equal(keyName("\x1b[99~", {}), null);
  assert.equal(keyName("\x00", {}), null);
});

test("only the lines that have changed are written", () => {
  const at = (line: number, text: string) => `\x1b[${line};1H\x1b[0m\x1b[K${text}`;
  assert.equal(changes(["a", "b", "c"], ["a", "x", "c"]), at(2, "x"));
  assert.equal(changes(["a", "b"], ["a", "b"]), "");
  assert.equal(changes([], ["a", "b"]), `\x1b[2J${at(1, "a")}${at(2, "b")}`);
  assert.equal(changes(["a", "b"], ["a"]), at(2, ""));
});
