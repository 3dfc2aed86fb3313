import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { explain } from "../../../commands/log/explain.ts";
import { QQ } from "../../../qmail/exit.ts";

const ROOT = new URL("../../../qmail/", import.meta.url);
/** A literal that holds a status code, or ends as reports do; its pieces are joined over lines. */
const LITERAL = /(["`])((?:\\.|(?!\1).)*)\1(?:\s*\+\s*(["`])((?:\\.|(?!\3).)*)\3)?/g;

/** Every report text in the sources of `folder`. */
function texts(folder: string): { file: string; text: string }[] {
  return readdirSync(new URL(`${folder}/`, ROOT))
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const source = readFileSync(new URL(`${folder}/${name}`, ROOT), "utf8").replace(
        /^\s*(\/\/|\/?\*).*$/gm,
        "",
      );
      return [...source.matchAll(LITERAL)]
        .map(([, , first = "", , second = ""]) => first + second)
        .filter((text) => /\(#\d\.\d+\.\d+\)/.test(text) || /^[A-Z][^:]* .*\\n$/.test(text))
        .map((text) => ({
          file: `${folder}/${name}`,
          text: text.replace(/\$\{[^}]*\}/g, "x").replaceAll("\\n", "/"),
        }));
    })
    .filter(
      ({ text }) =>
        !/^(Received|Delivered-To|Return-Path|From |[A-Z]*DELIVERY|Date|To:|Hi|Message)/.test(text),
    );
}

for (const folder of ["local", "remote", "spawn", "queue"]) {
  const found = texts(folder);
  test(`every report text in qmail/${folder} is explained (${found.length})`, () => {
    assert.ok(found.length > 2);
    const unexplained = found.filter(({ text }) => {
      // The first letter of qmail.ts's texts is their status.
      const [answer] = explain(text.replace(/^[DZ](?=[a-z])/, "").replaceAll(" ", "_"));
      return !answer || answer.causes.length === 0;
    });
    assert.deepEqual(unexplained, []);
  });
}

test("every exit code of qmail-queue is explained", () => {
  for (const code of Object.values(QQ)) assert.ok(explain(String(code)).length > 0, String(code));
});

test("a device in place of an mbox is no full disk, and what is odd in the queue leads to queue check", () => {
  const [device] = explain(
    "delivery 7: deferral: Unable_to_write_/dev/null:_invalid_argument._(#4.3.0)/",
  );
  assert.match(device?.meaning ?? "", /device or a FIFO/);
  assert.doesNotMatch(JSON.stringify(device), /full|df -h|quota/);
  for (const line of [
    "warning: trouble reading todo/22: it is a directory",
    "warning: unable to open todo/5",
    "alert: lock/trigger is no FIFO of ours: what another program queues waits",
  ]) {
    assert.deepEqual(explain(line)[0]?.next[0], "qmailctl queue check", line);
  }
});

test("codes, lines, replies", () => {
  assert.match(explain("4.2.1")[0]?.meaning ?? "", /mailbox.*tried again/);
  assert.match(explain("exit code 111")[0]?.meaning ?? "", /for now/);
  assert.match(explain("550")[0]?.meaning ?? "", /for good/);
  const line =
    "@4000000067434b8a0ee6b280 delivery 7: failure: Sorry,_no_mailbox_here_by_that_name._(#5.1.1)/";
  assert.deepEqual(
    explain(line).map(({ subject }) => subject.slice(0, 5)),
    ["Sorry", "5.1.1"],
  );
  for (const text of [
    "192.0.2.1 takes no message larger than 10 bytes, and this has 20. (#5.3.4)/",
    "192.0.2.1 takes no 8-bit text (no 8BITMIME). (#5.6.3)/",
    "192.0.2.1 takes no addresses that are not ASCII (no SMTPUTF8). (#5.6.7)/",
  ]) {
    const [words, code] = explain(text.replaceAll(" ", "_"));
    assert.ok(words && words.causes.length > 0, text);
    assert.ok(code, text);
  }
  assert.deepEqual(explain("hello there"), []);
});
