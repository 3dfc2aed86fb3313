/** qbiff(1): in a .qmail file, announces the message on the terminals where its user said `biff y`. */

import { closeSync, constants, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import { arch } from "node:process";
import { type ByteEnv, programEnv } from "../arguments.ts";
import { HeaderBody } from "../inject/headerbody.ts";
import { fieldName } from "../inject/headerfield.ts";

/** The system's list of who is logged in where (utmp(5)). */
const UTMP = "/run/utmp";
/** One entry of it: glibc has longer numbers in it on some machines. */
const ENTRY = arch === "arm64" || arch === "riscv64" ? 400 : 384;
const USER_PROCESS = 7;
const WIDTH = 78;

/** The lines of terminals, as "pts/1", where the entries of `utmp` say that `user` is. */
export function linesOf(utmp: Buffer, user: string, size = ENTRY): string[] {
  const lines: string[] = [];
  for (let at = 0; at + size <= utmp.length; at += size) {
    const text = (from: number, length: number) =>
      utmp.toString("latin1", at + from, at + from + length).replace(/\0.*/s, "");
    if (utmp.readInt16LE(at) !== USER_PROCESS || text(44, 32) !== user) continue;
    const line = text(8, 32);
    // Nothing that leads out of /dev.
    if (line !== "" && !line.startsWith("/") && !line.includes(".")) lines.push(line);
  }
  return lines;
}

/** What is written to a terminal: whose mail from whom, and the beginning of subject and body. */
export function woof({ LOCAL = "", SENDER = "" }: ByteEnv, beginning: string): string {
  const toFrom = `*** TO <${LOCAL}> FROM <${SENDER}>`.replace(/[^ -~]/g, "_");
  const text = `    ${beginning}`.slice(0, WIDTH).replace(/[^ -~]/g, "/");
  return `\r\n\x07${toFrom}\r\n${text}\r\n`;
}

/** The subject and the body of a message, as far as `woof` has use for them. */
export async function beginningOf(input: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  const parts = new HeaderBody((field) => {
    if (fieldName(field) === "subject") text += field.slice(field.indexOf(":") + 1).trimStart();
  });
  for await (const chunk of input) {
    const body = Buffer.concat(parts.push(chunk)).toString("latin1");
    text += body;
    if (text.length >= WIDTH) return text;
  }
  const body = Buffer.concat(parts.end()).toString("latin1");
  return text + body;
}

/** Writes `text` to the terminal `line` when its owner is us and has said that he wants to be told. */
function bark(line: string, text: string): void {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY, O_APPEND } = constants;
  let fd = -1;
  try {
    fd = openSync(`/dev/${line}`, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_APPEND);
    const stat = fstatSync(fd);
    if ((stat.mode & 0o100) !== 0 && stat.uid === process.getuid?.()) {
      writeSync(fd, Buffer.from(text, "latin1"));
    }
  } catch {
    // A terminal that cannot be told is none of the message's business.
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

async function main(env: ByteEnv): Promise<void> {
  if (env.USER === undefined || env.SENDER === undefined || env.LOCAL === undefined) return;
  const lines = linesOf(readFileSync(UTMP), env.USER);
  if (lines.length === 0) return;
  const text = woof(env, await beginningOf(process.stdin));
  for (const line of lines) bark(line, text);
}

if (import.meta.main) {
  // Whatever happens, the delivery goes on.
  await main(programEnv()).catch(() => {});
  process.exit(0);
}
