import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULT_OPTIONS,
  type RemoteOptions,
  RemoteOptionsTable,
} from "../../../qmail/remote/remoteoptions.ts";

const TABLE = new RemoteOptionsTable([
  ":concurrency=10 tls=none",
  ".example.com:tls=verify recipients=50",
  "mx.example.com:concurrency=3 rate=30/m auth=relay",
  "[192.0.2.1]:8bit=refuse",
  "@news.example.org:bind=192.0.2.7 helo=news.example.org concurrency=1",
]);

const testFind = (sender: string, host: string, expected: Partial<RemoteOptions>) => {
  test(`from ${sender || "<>"} to ${host}`, () => {
    assert.deepEqual(TABLE.find(sender, host), { ...DEFAULT_OPTIONS, ...expected });
  });
};
const asked = { concurrency: 10, tls: "none", tlsAsked: true } as const;
testFind("me@near.test", "far.test", asked);
testFind("", "A.EXAMPLE.com", { ...asked, tls: "verify", recipients: 50 });
testFind("me@near.test", "example.com", asked);
testFind("me@near.test", "mx.example.com", {
  ...asked,
  tls: "verify",
  recipients: 50,
  concurrency: 3,
  rate: { count: 30, ms: 60_000 },
  auth: "relay",
});
testFind("x@NEWS.example.org", "[192.0.2.1]", {
  ...asked,
  eightBit: "refuse",
  bind: "192.0.2.7",
  helo: "news.example.org",
  concurrency: 1,
});

test("without the file everything is as it is by default", () => {
  assert.deepEqual(new RemoteOptionsTable([]).find("a@b", "c"), DEFAULT_OPTIONS);
});

for (const [line, what] of [
  ["example.com", /"example\.com" has no colon/],
  [":colour=blue", /"colour" in ":colour=blue" is no option; there is: tls, name/],
  [":tls=maybe", /"tls=maybe" in/],
  [":tls", /"tls" in/],
  [":concurrency=0", /"concurrency=0" in/],
  [":rate=5", /"rate=5" in/],
  [":bind=here", /"bind=here" in/],
  [":constructor=1", /"constructor" in/],
] as const) {
  test(`control/remoteoptions may not have the line ${line}`, () => {
    assert.throws(() => new RemoteOptionsTable([line]), what);
  });
}
