/** maildirwatch(1): shows on a terminal what lies new in $MAILDIR, and keeps doing so. */

import { closeSync, readSync, watch } from "node:fs";
import { programEnv } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import { openFile } from "../files/foreign-directory.ts";
import { exitWith, refused } from "../inject/context.ts";
import { HeaderBody } from "../inject/headerbody.ts";
import { fieldName } from "../inject/headerfield.ts";
import { systemText } from "../local/failure.ts";
import { cleanTmp, scanMaildir } from "./maildir.ts";

/** Looked at this often besides, since a change made on another host of NFS is not told. */
const EVERY_MS = 30_000;
/** Two lines of a terminal. */
const ABOUT_MAX = 158;
/** So much of a message is read. */
const BEGINNING = 16 * 1024;
const CLEAR_SCREEN = "\x1b[;H\x1b[;J";
const [BOLD, PLAIN] = ["\x1b[1m", "\x1b[0m"];

/**
 * About each new message of `maildir`: from and to whom by its envelope, its From field in bold, and what about. Throws the
 * system's error.
 */
export function newMail(maildir: string, now: number): string {
  const entries = scanMaildir(maildir, ["new"], now);
  return entries
    .map(({ name }) => beginningOf(`${maildir}/${name}`))
    .map((message) => (message === null ? "" : describe(message)))
    .join("");
}

function describe(message: Buffer): string {
  const seen = { sender: "?", recipient: "?", from: "" };
  let about = "";
  const parts = new HeaderBody((field) => {
    const line = field.slice(0, -1);
    const value = field.slice(field.indexOf(":") + 1).replace(/^[ \t]+/, "");
    const name = fieldName(field);
    if (name === "subject") about += value;
    if (name === "delivered-to") seen.recipient = value.slice(0, -1);
    if (name === "return-path") seen.sender = value.slice(0, -1);
    if (name === "from") seen.from = line;
  });
  const body = Buffer.concat([...parts.push(message), ...parts.end()]);
  about += body.toString("latin1");
  const { sender, recipient, from } = seen;
  const lines = [
    `FROM ${printable(sender, "?")} TO <${printable(recipient, "?")}>`,
    ...(from === "" ? [] : [`${BOLD}${printable(from, "/")}${PLAIN}`]),
    printable(about.slice(0, ABOUT_MAX), "/"),
    "",
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function printable(text: string, instead: string): string {
  return text.replace(/[^ -~]/g, instead);
}

/** Null: a reader was faster. */
function beginningOf(path: string): Buffer | null {
  let fd = -1;
  try {
    ({ fd } = openFile(path));
    const bytes = Buffer.alloc(BEGINNING);
    return bytes.subarray(0, readSync(fd, bytes));
  } catch {
    return null;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function show(maildir: string): void {
  const now = Date.now();
  cleanTmp(maildir, now);
  try {
    process.stdout.write(CLEAR_SCREEN + newMail(maildir, now));
  } catch (error) {
    const message = `unable to scan $MAILDIR/new: ${systemText(error)}`;
    exitWith("maildirwatch", { code: EXIT.soft, message });
  }
}

function main(maildir: string | undefined): void {
  if (maildir === undefined) exitWith("maildirwatch", refused("MAILDIR not set"));
  show(maildir);
  let planned = false;
  // A message counts from the second after it came, and one look serves many.
  watch(fsPath(`${maildir}/new`), () => {
    if (planned) return;
    planned = true;
    setTimeout(() => {
      planned = false;
      show(maildir);
    }, 1100);
  });
  setInterval(() => show(maildir), EVERY_MS);
}

if (import.meta.main) main(programEnv().MAILDIR);
