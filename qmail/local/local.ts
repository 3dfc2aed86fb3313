/** One local delivery: finds the instructions and carries them out (qmail-local(8), dot-qmail(5)). */

import { closeSync, fstatSync, openSync, readFileSync, type Stats, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { GroupSync } from "../files/groupsync.ts";
import type { QueueDoor } from "../queue/qmail.ts";
import type { Message } from "../spawn/message.ts";
import type { Report } from "../spawn/report.ts";
import {
  DotQmailError,
  dotQmailCandidates,
  dotQmailLines,
  type Instruction,
  type InstructionLine,
  safeExtension,
} from "./dotqmail.ts";
import {
  deliveryEnvironment,
  deliveryLines,
  type Lines,
  type LocalRequest,
} from "./environment.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";
import { deliverMaildir } from "./maildir.ts";
import { deliverMbox } from "./mbox.ts";
import { deliverProgram } from "./program.ts";

/** Writable for all: then anybody could redirect the mail (C qmail: conf-patrn). */
const WRITABLE = 0o002;
const STICKY = 0o1000;

export interface LocalContext {
  readonly queue: QueueDoor;
  readonly sync: GroupSync;
  readonly env: NodeJS.ProcessEnv;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** What a delivery was found to be, before anything is done. */
export interface Found {
  readonly lines: readonly InstructionLine[];
  /** The .qmail file; null when there is none. */
  readonly file: string | null;
  /** True: there is no file, or an empty one, and `lines` are the default delivery's. */
  readonly byDefault: boolean;
  readonly forwardOnly: boolean;
  readonly default: string | null;
  /** The envelope sender of forwards. */
  readonly newSender: string;
}

/** Delivers `message`. Never throws. */
export async function deliverLocal(
  request: LocalRequest,
  message: Message,
  context: LocalContext,
): Promise<Report> {
  const lines = deliveryLines(request, context.now());
  try {
    checkHome(request.home);
    await checkLoop(message, lines.dtline);
    const found = findInstructions(request);
    return await new LocalDelivery(request, message, { ...context, lines, found }).run();
  } catch (error) {
    return failureReport(error);
  }
}

/** What is reported when a delivery fails with `error`. */
export function failureReport(error: unknown): Report {
  if (error instanceof DeliveryFailure) return { status: error.status, text: error.message };
  if (error instanceof DotQmailError) return { status: "Z", text: error.message };
  return { status: "Z", text: `Internal trouble: ${(error as Error).message}. (#4.3.0)\n` };
}

/** The home must be there, nobody else's to write, and not being edited (sticky). Throws DeliveryFailure. */
export function checkHome(home: string): void {
  let stat: Stats;
  try {
    stat = statSync(home);
  } catch (error) {
    throw temporary(`Unable to switch to ${home}: ${systemText(error)}. (#4.3.0)\n`);
  }
  if (stat.mode & WRITABLE) throw temporary("Uh-oh: home directory is writable. (#4.7.0)\n");
  if (stat.mode & STICKY) {
    throw temporary("Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n");
  }
}

/** Which instructions hold for `request`. Throws DeliveryFailure or DotQmailError. */
export function findInstructions(request: LocalRequest): Found {
  const { home, dash, ext, aliasempty } = request;
  const file = findDotQmail(home, dash, ext);
  if (!file && dash !== "") {
    throw new DeliveryFailure("D", "Sorry, no mailbox here by that name. (#5.1.1)\n");
  }
  const byDefault = !file || file.text === "";
  return {
    lines: dotQmailLines(byDefault ? aliasempty : file.text),
    file: file?.path ?? null,
    byDefault,
    forwardOnly: !byDefault && file.executable,
    default: file?.default ?? null,
    newSender: newSender(request),
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
    const path = join(home, candidate.name);
    const file = readDotQmail(path, candidate.name);
    if (file) return { path, ...file, default: candidate.default };
  }
  return null;
}

function readDotQmail(path: string, name: string): { text: string; executable: boolean } | null {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return null;
    throw temporary(`Unable to open ${name}: ${systemText(error)}. (#4.3.0)\n`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return null;
    if (stat.mode & WRITABLE) throw temporary("Uh-oh: .qmail file is writable. (#4.7.0)\n");
    return { text: readFileSync(fd, "latin1"), executable: (stat.mode & 0o100) !== 0 };
  } finally {
    closeSync(fd);
  }
}

/** With an -owner file, errors of forwards go to it; with -owner-default too, one address each (VERP). */
function newSender({ home, dash, ext, local, host, sender }: LocalRequest): string {
  if (sender === "" || sender === "#@[]") return sender;
  const base = join(home, `.qmail${dash}${safeExtension(ext)}`);
  const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined;
  if (!exists(`${base}-owner`)) return sender;
  return exists(`${base}-owner-default`) ? `${local}-owner-@${host}-@[]` : `${local}-owner@${host}`;
}

/** A message that has been here before is going round in circles. Only the header counts. */
async function checkLoop(message: Message, dtline: string): Promise<void> {
  let rest = "\n";
  for await (const chunk of message.chunks()) {
    const text = rest + chunk.toString("latin1");
    const end = text.indexOf("\n\n");
    const header = end < 0 ? text : text.slice(0, end + 1);
    if (header.includes(`\n${dtline}`)) {
      const why = "This message is looping: it already has my Delivered-To line. (#5.4.6)\n";
      throw new DeliveryFailure("D", why);
    }
    if (end >= 0) return;
    rest = text.slice(-dtline.length - 1);
  }
}

class LocalDelivery {
  readonly #request: LocalRequest;
  readonly #message: Message;
  readonly #context: LocalContext & { readonly lines: Lines; readonly found: Found };
  readonly #forwards: string[] = [];
  #files = 0;
  #programs = 0;
  #output = "";

  constructor(
    request: LocalRequest,
    message: Message,
    context: LocalContext & { readonly lines: Lines; readonly found: Found },
  ) {
    this.#request = request;
    this.#message = message;
    this.#context = context;
  }

  async run(): Promise<Report> {
    let { forwardOnly } = this.#context.found;
    for (const { instruction } of this.#context.found.lines) {
      if (instruction.type === "list") forwardOnly = true;
      else if (!(await this.#perform(instruction, forwardOnly))) break;
    }
    const qp = this.#forwards.length > 0 ? await this.#forward() : null;
    const did = `did ${this.#files}+${this.#forwards.length}+${this.#programs}\n`;
    const text = `${this.#output}${did}${qp === null ? "" : `qp ${qp}\n`}`;
    return { status: "K", text };
  }

  /** False when nothing after this instruction is to be done. */
  async #perform(
    instruction: Exclude<Instruction, { type: "list" }>,
    forwardOnly: boolean,
  ): Promise<boolean> {
    const refused = forwardOnly ? refusal(instruction) : null;
    if (refused) throw refused;
    switch (instruction.type) {
      case "forward":
        this.#forwards.push(instruction.address);
        return true;
      case "program":
        this.#programs++;
        return this.#program(instruction.command);
      case "maildir":
      case "mbox":
        this.#files++;
        await this.#file(instruction);
        return true;
    }
  }

  #file({ type, path }: { type: "maildir" | "mbox"; path: string }): Promise<void> {
    const { rpline, dtline, ufline } = this.#context.lines;
    const message = this.#message;
    const at = isAbsolute(path) ? path : join(this.#request.home, path);
    if (type === "mbox") return deliverMbox(at, { head: ufline + rpline + dtline, message });
    return deliverMaildir(at, { head: rpline + dtline, message, sync: this.#context.sync });
  }

  async #program(command: string): Promise<boolean> {
    const { lines, found } = this.#context;
    const env = { ...this.#context.env, ...deliveryEnvironment(this.#request, lines, found) };
    const result = await deliverProgram(command, {
      home: this.#request.home,
      env,
      message: this.#message,
    });
    this.#output += result.output;
    return result.more;
  }

  /** All forwards of a message are one new message. Returns its qp. */
  async #forward(): Promise<number> {
    const queued = this.#context.queue.open();
    try {
      queued.put(Buffer.from(this.#context.lines.dtline, "latin1"));
      for await (const chunk of this.#message.chunks()) {
        queued.put(chunk);
        if (queued.full) await queued.drained();
      }
    } catch {
      queued.abort();
      throw temporary("Unable to forward message: unable to read message (#4.3.0).\n");
    }
    const result = await queued.close(this.#context.found.newSender, this.#forwards);
    if (result.ok) return result.qp;
    const text = `Unable to forward message: ${result.text}.\n`;
    throw new DeliveryFailure(result.permanent ? "D" : "Z", text);
  }
}

/** Why a file from which only forwards are wanted cannot have `instruction`; null when it can. */
export function refusal({ type }: Instruction): DeliveryFailure | null {
  if (type === "forward" || type === "list") return null;
  const what = type === "program" ? "prog" : "file";
  return temporary(`Uh-oh: .qmail has ${what} delivery but has x bit set. (#4.7.0)\n`);
}
