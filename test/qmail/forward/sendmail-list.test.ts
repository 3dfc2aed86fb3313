import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseForward } from "../../../qmail/forward/dot-forward.ts";
import { aliasRecords } from "../../../qmail/forward/newaliases.ts";
import { includeList } from "../../../qmail/forward/newinclude.ts";
import { ListError, recipientsIn } from "../../../qmail/forward/sendmail-list.ts";
import { TableError } from "../../../qmail/forward/table.ts";
import type { Domains } from "../../../qmail/inject/rewrite.ts";
import { tokenise } from "../../../qmail/inject/token822.ts";

const tokens = (text: string) => tokenise(text) ?? [];
const DOMAINS: Domains = {
  defaultHost: tokens("@dh"),
  defaultDomain: tokens(".dd.dom"),
  plusDomain: tokens(".plus.dom"),
};
const ENV = { USER: "joe", HOST: "h.test" };

/** Addresses that need no completing, and how a .forward file may have them. */
const address = fc.tuple(
  fc.stringMatching(/^[a-z]{1,8}$/),
  fc.stringMatching(/^[a-z]{1,8}\.[a-z]{2}$/),
);
const WRAPPINGS = [
  ([box, host]: [string, string]) => `${box}@${host}`,
  ([box, host]: [string, string]) => `Some Body <${box}@${host}>`,
  ([box, host]: [string, string]) => `"${box}" (comment, with comma) @ ${host}`,
  ([box, host]: [string, string]) => `<${box}@${host}> (x)`,
];

test("addresses come out whatever is around them", () => {
  const one = fc.tuple(address, fc.constantFrom(...WRAPPINGS));
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 6 }), (all) => {
      const line = all.map(([parts, wrap]) => wrap(parts)).join(", ");
      const found = recipientsIn(line, DOMAINS);
      assert.deepEqual(
        found.reverse().map((each) => (each.type === "address" ? each.address : each)),
        all.map(([[box, host]]) => `${box}@${host}`),
      );
    }),
  );
});

test("any text has recipients or a ListError", () => {
  const garbage = fc.string({ unit: fc.constantFrom(...'ab@.,:;<>()[]"\\|/# \n\t\0include') });
  fc.assert(
    fc.property(garbage, (text) => {
      for (const read of [
        () => parseForward(text, ENV, DOMAINS),
        () => includeList(text, DOMAINS),
        () => aliasRecords(text, DOMAINS),
      ]) {
        try {
          read();
        } catch (error) {
          assert.ok(error instanceof ListError || error instanceof TableError, String(error));
        }
      }
    }),
  );
});

test("the user is not forwarded to, by either of his names", () => {
  const forward = parseForward('JOE, joe@H.test, \\joe, ann@x.y, "|cmd"\n', ENV, DOMAINS);
  assert.equal(forward?.direct, true);
  assert.deepEqual(
    forward?.steps.map(({ type }) => type),
    ["program", "address"],
  );
  assert.equal(parseForward("joe@other.test\n", ENV, DOMAINS)?.direct, false);
  assert.equal(parseForward("# joe\n\n", ENV, DOMAINS), null);
});

test("files and programs where they cannot be", () => {
  assert.throws(
    () => parseForward("/var/mail/x\n", ENV, DOMAINS),
    /file delivery \/var\/mail\/x not supported/,
  );
  assert.throws(() => parseForward(":include:/l\n", ENV, DOMAINS), /:include:\/l not supported/);
  assert.throws(() => includeList('"|cmd"\n', DOMAINS), /program delivery \|cmd not supported/);
  assert.throws(() => aliasRecords("a: :include:\n", DOMAINS), /empty :include: filenames/);
});

test("an included list names binary lists, which are all that fastforward reads", () => {
  assert.equal(includeList(":include:/etc/l\n:include:rel\n", DOMAINS), "/etc/l.bin\0./rel.bin\0");
});
