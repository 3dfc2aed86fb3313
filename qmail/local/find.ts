/** Which instructions hold for an address: the home, its .qmail files, the default delivery (dot-qmail(5)). */

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from "node:fs";
import { fsPath } from "../files/bytes.ts";
import {
  dotQmailCandidates,
  type InstructionLine,
  isBounce,
  newSender,
  parseDotQmail,
  safeExtension,
} from "./dotqmail.ts";
import type { LocalRequest } from "./environment.ts";
import { DeliveryFailure, isAbsent, isPassing, systemText, temporary } from "./failure.ts";

/** Writable for all: then anybody could redirect the mail (C qmail: conf-patrn). */
const WRITABLE = 0o002;
const STICKY = 0o1000;
const READ_WITHOUT_WAITING = constants.O_RDONLY | constants.O_NONBLOCK;

/** What a delivery was found to be, before anything is done. */
export interface Found {
  readonly lines: readonly InstructionLine[];
  /** What `lines` were read from. */
  readonly text: string;
  /** The .qmail file; null when there is none. */
  readonly file: string | null;
  /** True: there is no file, or an empty one, and `lines` are the default delivery's. */
  readonly byDefault: boolean;
  readonly forwardOnly: boolean;
  readonly default: string | null;
  /** The envelope sender of forwards. */
  readonly newSender: string;
}

/**
 * The home must be there, nobody else's to write, and not being edited (sticky): then `edited` is called,
 * which throws unless told otherwise. Throws DeliveryFailure.
 */
export function checkHome(home: string, edited: () => void = refuseEdited): void {
  let stat: Stats;
  try {
    // The dot asks for what going there needs: a directory, and the right to search it.
    stat = statSync(fsPath(`${home}/.`));
  } catch (error) {
    throw temporary(`Unable to switch to ${home}: ${systemText(error)}. (#4.3.0)\n`);
  }
  if (stat.mode & WRITABLE) throw temporary("Uh-oh: home directory is writable. (#4.7.0)\n");
  if (stat.mode & STICKY) edited();
}

function refuseEdited(): never {
  throw temporary("Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n");
}

/** Which instructions hold for `request`. Throws DeliveryFailure or DotQmailError. */
export function findInstructions(request: LocalRequest): Found {
  const { home, dash, ext, aliasempty } = request;
  const file = findDotQmail(home, dash, ext);
  if (!file && dash !== "") {
    throw new DeliveryFailure("D", "Sorry, no mailbox here by that name. (#5.1.1)\n");
  }
  const forwards = newSender(request, owners(request));
  const byDefault = !file || file.text === "";
  const text = byDefault ? aliasempty : file.text;
  return {
    lines: parseDotQmail(text),
    text,
    file: file?.path ?? null,
    byDefault,
    forwardOnly: !byDefault && file.executable,
    default: file?.default ?? null,
    newSender: forwards,
  };
}

interface DotQmailFile {
  readonly path: string;
  readonly text: string;
  readonly executable: boolean;
  readonly default: string | null;
}

function findDotQmail(home: string, dash: string, ext: string): DotQmailFile | null {
  for (const candidate of dotQmailCandidates(dash, ext)) {
    const path = `${home}/${candidate.name}`;
    const file = readDotQmail(path, candidate.name);
    if (file) return { path, ...file, default: candidate.default };
  }
  return null;
}

function readDotQmail(path: string, name: string): { text: string; executable: boolean } | null {
  let fd = -1;
  try {
    // A FIFO by that name must not stop the delivery: it is no regular file, so it does not count.
    fd = openSync(fsPath(path), READ_WITHOUT_WAITING);
    const stat = fstatSync(fd);
    if (!stat.isFile()) return null;
    if (stat.mode & WRITABLE) throw temporary("Uh-oh: .qmail file is writable. (#4.7.0)\n");
    return { text: readFileSync(fd, "latin1"), executable: (stat.mode & 0o100) !== 0 };
  } catch (error) {
    if (error instanceof DeliveryFailure) throw error;
    if (isAbsent(error)) return null;
    throw temporary(`Unable to open ${name}: ${systemText(error)}. (#4.3.0)\n`);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Which of the two files that name the owner of a list there are. */
function owners({ home, dash, ext, sender }: LocalRequest) {
  const none = { owner: false, ownerDefault: false };
  if (isBounce(sender)) return none;
  const name = `.qmail${dash}${safeExtension(ext)}`;
  if (!exists(home, `${name}-owner`)) return none;
  return { owner: true, ownerDefault: exists(home, `${name}-owner-default`) };
}

function exists(home: string, name: string): boolean {
  try {
    statSync(fsPath(`${home}/${name}`));
    return true;
  } catch (error) {
    if (isPassing(error))
      throw temporary(`Unable to open ${name}: ${systemText(error)}. (#4.3.0)\n`);
    return false;
  }
}
