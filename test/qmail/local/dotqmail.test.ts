import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DotQmailError,
  dotQmailCandidates,
  type Instruction,
  parseDotQmail,
} from "../../../qmail/local/dotqmail.ts";
import { deliveryEnvironment, deliveryLines } from "../../../qmail/local/environment.ts";

/** Text of a .qmail file → instructions. */
const CASES: readonly (readonly [string, readonly Instruction[]])[] = [
  ["./Maildir/\n", [{ type: "maildir", path: "./Maildir/" }]],
  ["/var/mail/x", [{ type: "mbox", path: "/var/mail/x" }]],
  ["./Mailbox \t\n", [{ type: "mbox", path: "./Mailbox" }]],
  ["|cat >x\n", [{ type: "program", command: "cat >x" }]],
  [
    "&a@b\nc@d\n",
    [
      { type: "forward", address: "a@b" },
      { type: "forward", address: "c@d" },
    ],
  ],
  ["# comment\n\njoe\n", [{ type: "forward", address: "joe" }]],
  ["joe\n\n\n", [{ type: "forward", address: "joe" }]],
  ["+list\njoe\n+other\n", [{ type: "list" }, { type: "forward", address: "joe" }]],
  ["#\n", []],
];

for (const [text, expected] of CASES) {
  test(`parseDotQmail(${JSON.stringify(text)})`, () => {
    const parsed = parseDotQmail(text).map(({ instruction }) => instruction);
    assert.deepEqual(parsed, expected);
  });
}

test("a blank first line is an error", () => {
  for (const text of ["\njoe\n", "  \n", "\t\njoe"]) {
    assert.throws(() => parseDotQmail(text), DotQmailError);
  }
});

/** dash, extension → file name and DEFAULT, in order. */
const SEARCH = [
  [
    "",
    "",
    [
      [".qmail", null],
      [".qmaildefault", ""],
    ],
  ],
  [
    "-",
    "a",
    [
      [".qmail-a", null],
      [".qmail-default", "a"],
    ],
  ],
  [
    "-",
    "a-b",
    [
      [".qmail-a-b", null],
      [".qmail-a-default", "b"],
      [".qmail-default", "a-b"],
    ],
  ],
  [
    "-",
    "A.b-",
    [
      [".qmail-a:b-", null],
      [".qmail-a:b-default", ""],
      [".qmail-default", "A.b-"],
    ],
  ],
  [
    "-",
    "../x",
    [
      [".qmail-::/x", null],
      [".qmail-default", "../x"],
    ],
  ],
] as const;

for (const [dash, ext, expected] of SEARCH) {
  test(`files for dash "${dash}" and extension "${ext}"`, () => {
    const found = dotQmailCandidates(dash, ext).map((each) => [each.name, each.default]);
    assert.deepEqual(found, expected);
  });
}

test("lines and variables of a delivery", () => {
  const request = {
    user: "joe",
    home: "/home/joe",
    local: "joe-a-b-c",
    dash: "-",
    ext: "a-b-c",
    host: "w.x.y.z",
    sender: "from me@x",
    aliasempty: "./Mailbox",
  };
  const lines = deliveryLines(request, 0);
  assert.equal(lines.rpline, 'Return-Path: <"from me"@x>\n');
  assert.equal(lines.dtline, "Delivered-To: joe-a-b-c@w.x.y.z\n");
  assert.equal(lines.ufline, "From from-me@x Thu Jan 01 00:00:00 1970\n");
  assert.match(deliveryLines({ ...request, sender: "" }, 0).ufline, /^From MAILER-DAEMON /);
  const env = deliveryEnvironment(request, lines, { default: "c", newSender: "n@x" });
  const wanted = {
    EXT: "a-b-c",
    EXT2: "b-c",
    EXT3: "c",
    EXT4: "",
    HOST: "w.x.y.z",
    HOST2: "w.x.y",
    HOST3: "w.x",
    HOST4: "w",
    RECIPIENT: "joe-a-b-c@w.x.y.z",
    SENDER: "from me@x",
    NEWSENDER: "n@x",
    DEFAULT: "c",
    USER: "joe",
    HOME: "/home/joe",
    LOCAL: "joe-a-b-c",
  };
  for (const [name, value] of Object.entries(wanted)) assert.equal(env[name], value, name);
  const none = deliveryEnvironment(request, lines, { default: null, newSender: "" });
  assert.ok(!("DEFAULT" in none));
});
