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
  "smtpd: 9.1 event=accepted ip=192.0.2.1 user=ann helo=h from=<ann@example.com> to=<bob@example.org>,<carl@example.net> rcpts=2 bytes=100 qp=70",
  "smtpd: 9.2 event=refused-recipient ip=192.0.2.9 from=<eve@example.net> to=<bob@example.org> reply=553 no",
];

/** Numbers of the lines chosen; one line a second. */
function chosen(selection: Selection): number[] {
  const selector = new Selector(selection, 10_000);
  return LINES.flatMap((line, at) => selector.line(at * 1000, line)).map((line) =>
    LINES.indexOf(line),
  );
}

const CASES: readonly (readonly [Selection, readonly number[]])[] = [
  [{}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  [{ from: "ann@*" }, [0, 1, 2, 4, 5, 6, 9]],
  [{ from: "ANN@EXAMPLE.COM", result: "success" }, [1, 4]],
  [{ to: "*@example.net" }, [2, 5, 9]],
  [{ domain: "example.net" }, [2, 3, 5, 8, 9, 10]],
  [{ id: "6" }, [3, 8]],
  [{ result: "failure" }, [2, 5]],
  [{ result: "deferral" }, []],
  [{ grep: "^status" }, [7]],
  [{ since: "4s" }, [6, 7, 8, 9, 10]],
  [{ until: "1970-01-01T00:00:01Z" }, [0, 1]],
  [{ id: "5", since: "5s" }, [5, 6]],
  [{ qp: "70" }, [0, 1, 2, 4, 5, 6, 9]],
  [{ client: "192.0.2.*" }, [9, 10]],
  [{ user: "ann" }, [9]],
  [{ result: "refused" }, [10]],
  [{ result: "accepted", from: "ann@*" }, [9]],
  [{ result: "accepted", from: "eve@*" }, []],
  [{ client: "192.0.2.9", id: "5" }, []],
];

for (const [selection, expected] of CASES) {
  test(JSON.stringify(selection), () => assert.deepEqual(chosen(selection), expected));
}

test("what cannot be meant is refused", () => {
  for (const selection of [{ result: "ok" }, { since: "yore" }, { grep: "(" }]) {
    assert.throws(() => new Selector(selection, 0), /result|age or a date|regular expression/);
  }
});
