import assert from "node:assert/strict";
import { test } from "node:test";
import { type Selection, Selector } from "../../../commands/log/select.ts";

const LINES = [
  "info msg 5: bytes 100 from <ann@example.com> qp 70 uid 1",
  "starting delivery 1: msg 5 to local bob@example.org",
  "starting delivery 2: msg 5 to remote carl@example.net",
  "info msg 6: bytes 100 from <dan@example.net> qp 71 uid 1",
  "delivery 1: success: did_1+0+0/",
  "delivery 2: failure: no/",
  "end msg 5",
  "status: local 0/10 remote 0/20",
  "end msg 6",
];

/** Numbers of the lines chosen; one line a second. */
function chosen(selection: Selection): number[] {
  const selector = new Selector(selection, 10_000);
  return LINES.flatMap((line, at) => selector.line(at * 1000, line)).map((line) =>
    LINES.indexOf(line),
  );
}

const CASES: readonly (readonly [Selection, readonly number[]])[] = [
  [{}, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [{ from: "ann@*" }, [0, 1, 2, 4, 5, 6]],
  [{ from: "ANN@EXAMPLE.COM", result: "success" }, [1, 4]],
  [{ to: "*@example.net" }, [2, 5]],
  [{ domain: "example.net" }, [2, 3, 5, 8]],
  [{ id: "6" }, [3, 8]],
  [{ result: "failure" }, [2, 5]],
  [{ result: "deferral" }, []],
  [{ grep: "^status" }, [7]],
  [{ since: "4s" }, [6, 7, 8]],
  [{ until: "1970-01-01T00:00:01Z" }, [0, 1]],
  [{ id: "5", since: "5s" }, [5, 6]],
];

for (const [selection, expected] of CASES) {
  test(JSON.stringify(selection), () => assert.deepEqual(chosen(selection), expected));
}

test("what cannot be meant is refused", () => {
  for (const selection of [{ result: "ok" }, { since: "yore" }, { grep: "(" }]) {
    assert.throws(() => new Selector(selection, 0), /result|time|regular expression/);
  }
});
