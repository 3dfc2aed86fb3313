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
const WIDTH = 78;
/** So much of a message is read. */
const BEGINNING = 16 * 1024;
const CLEAR_SCREEN = "\x1b[;H\x1b[;J";

/** Two lines about each new message of `maildir`: from whom and to whom, and what about. Throws the system's error. */
export function newMail(maildir: string, now: number): string {
  const entries = scanMaildir(maildir, ["new"], now);
  return entries.map(({ name }) => describe(beginningOf(`${maildir}/${name}`))).join("");
}

function describe(message: Buffer): string {
  const fields = new Map<string, string>();
  const parts = new HeaderBody((field) => {
    const name = fieldName(field) ?? "";
    if (!fields.has(name)) fields.set(name, field.slice(field.indexOf(":") + 1).trim());
  });
  const body = Buffer.concat([...parts.push(message), ...parts.end()]).toString("latin1");
  const sender = /<(.*)>/.exec(fields.get("return-path") ?? "")?.[1] ?? "";
  const about = `${fields.get("subject") ?? ""} ${body}`.replace(/\s+/g, " ").trim();
  const lines = [`FROM <${sender}> TO <${fields.get("delivered-to") ?? ""}>`, `    ${about}`];
  return lines.map((line) => `${line.slice(0, WIDTH).replace(/[^ -~]/g, "?")}\n`).join("");
}

function beginningOf(path: string): Buffer {
  let fd = -1;
  try {
    ({ fd } = openFile(path));
    const bytes = Buffer.alloc(BEGINNING);
    return bytes.subarray(0, readSync(fd, bytes));
  } catch {
    // A reader was faster.
    return Buffer.alloc(0);
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
