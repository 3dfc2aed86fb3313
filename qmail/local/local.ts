/** One local delivery: finds the instructions and carries them out (qmail-local(8), dot-qmail(5)). */

import { QQ } from "../exit.ts";
import type { NamelessFile } from "../files/nameless-file.ts";
import { type QueueDoor, queueFailure } from "../queue/qmail.ts";
import type { Message } from "../spawn/message.ts";
import type { Report, WorkReport } from "../spawn/report.ts";
import { type Delivery, type DeliveryStep, DotQmailError, steps } from "./dotqmail.ts";
import {
  deliveryEnvironment,
  deliveryLines,
  type Lines,
  type LocalRequest,
} from "./environment.ts";
import { DeliveryFailure, systemText, temporary } from "./failure.ts";
import { checkHome, type Found, findInstructions } from "./find.ts";
import type { Maildirs } from "./maildir.ts";
import type { Mboxes, Waits } from "./mbox.ts";
import { copyForPrograms, deliverProgram } from "./program.ts";
import { Progress } from "./progress.ts";

/** What a message gets that has been here before. */
export const LOOPING = "This message is looping: it already has my Delivered-To line. (#5.4.6)\n";

export interface LocalContext {
  readonly queue: QueueDoor;
  readonly maildirs: Maildirs;
  readonly mboxes: Mboxes;
  readonly env: NodeJS.ProcessEnv;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** What the report of the last try of this message handed on. */
  readonly progress?: string;
  /** Told when the delivery waits for what only its own user can do something about. */
  readonly waits?: Waits;
}

/** Delivers the message `queued`. Never rejects. */
export async function deliverLocal(
  request: LocalRequest,
  queued: Message,
  context: LocalContext,
): Promise<WorkReport> {
  const message = readable(queued);
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

/** The report that `error` of a delivery stands for. */
export function failureReport(error: unknown): Report {
  if (error instanceof DeliveryFailure) return { status: error.status, text: error.message };
  if (error instanceof DotQmailError) return { status: "Z", text: error.message };
  return { status: "Z", text: `Internal trouble: ${systemText(error)}. (#4.3.0)\n` };
}

/** A message that has been here before is going round in circles. Only the header counts. */
async function checkLoop(message: Message, dtline: string): Promise<void> {
  let rest = "\n";
  for await (const chunk of message.chunks()) {
    const text = rest + chunk.toString("latin1");
    const end = text.indexOf("\n\n");
    const header = end < 0 ? text : text.slice(0, end + 1);
    if (header.includes(`\n${dtline}`)) {
      throw new DeliveryFailure("D", LOOPING);
    }
    if (end >= 0) return;
    rest = text.slice(-dtline.length - 1);
  }
}

/** `message`, where not to be able to read it is temporary trouble with qmail's text. */
function readable(message: Message): Message {
  return {
    size: message.size,
    async *chunks() {
      try {
        yield* message.chunks();
      } catch (error) {
        throw temporary(`Unable to read message: ${systemText(error)}. (#4.3.0)\n`);
      }
    },
  };
}

interface FileInstruction {
  readonly type: "maildir" | "mbox";
  readonly path: string;
}

class LocalDelivery {
  readonly #request: LocalRequest;
  readonly #message: Message;
  readonly #context: LocalContext & { readonly lines: Lines; readonly found: Found };
  readonly #forwards: string[] = [];
  readonly #did = { file: 0, forward: 0, program: 0 };
  readonly #progress: Progress;
  #output = "";
  #copy: NamelessFile | null = null;

  constructor(
    request: LocalRequest,
    message: Message,
    context: LocalContext & { readonly lines: Lines; readonly found: Found },
  ) {
    this.#request = request;
    this.#message = message;
    this.#context = context;
    this.#progress = new Progress(context.found, context.progress ?? "");
  }

  async run(): Promise<WorkReport> {
    try {
      return await this.#run();
    } catch (error) {
      const { status, text } = failureReport(error);
      const progress = status === "Z" ? this.#progress.text : "";
      return { status, text: this.#output + text, ...(progress && { progress }) };
    } finally {
      this.#copy?.close();
    }
  }

  async #run(): Promise<Report> {
    const found = this.#context.found;
    const all = [...steps(found.lines, found.forwardOnly)];
    await this.#lookAhead(all);
    for (const { number, instruction, kind, allowed } of all) {
      this.#did[kind]++;
      if (!allowed) throw notForwarding(kind);
      if (!(await this.#carryOut(number, instruction))) break;
    }
    const qp = this.#forwards.length > 0 ? await this.#forward() : null;
    const { file, forward, program } = this.#did;
    const did = `did ${file}+${forward}+${program}\n`;
    const text = `${this.#output}${did}${qp === null ? "" : `qp ${qp}\n`}`;
    return { status: "K", text };
  }

  /** Waits for the locks of later lines before the first is done: what was not begun need not be remembered. */
  async #lookAhead(all: readonly DeliveryStep[]): Promise<void> {
    if (this.#progress.ended) return;
    const open = all.filter(
      ({ number, instruction, allowed }) =>
        allowed && instruction.type !== "forward" && !this.#progress.has(number),
    );
    for (const { instruction } of open.slice(1)) {
      if (instruction.type !== "mbox") continue;
      await this.#context.mboxes.look(this.#pathOf(instruction), this.#waiting());
    }
  }

  /** False when nothing after this line is to be done. */
  async #carryOut(number: number, instruction: Delivery): Promise<boolean> {
    if (instruction.type === "forward") return this.#perform(instruction);
    if (this.#progress.has(number)) return !this.#progress.endsAt(number);
    const more = await this.#perform(instruction);
    this.#progress.add(number, { last: !more });
    return more;
  }

  /** False when nothing after this instruction is to be done. */
  async #perform(instruction: Delivery): Promise<boolean> {
    switch (instruction.type) {
      case "forward":
        this.#forwards.push(instruction.address);
        return true;
      case "program":
        return this.#program(instruction.command);
      case "maildir":
      case "mbox":
        await this.#file(instruction);
        return true;
    }
  }

  #file(instruction: FileInstruction): Promise<void> {
    const { rpline, dtline, ufline } = this.#context.lines;
    const message = this.#message;
    const at = this.#pathOf(instruction);
    const { maildirs, mboxes } = this.#context;
    const { type, path: name } = instruction;
    if (type === "maildir") return maildirs.deliver(at, { head: rpline + dtline, message });
    return mboxes.deliver(at, { name, head: ufline + rpline + dtline, message }, this.#waiting());
  }

  #pathOf({ path }: FileInstruction): string {
    return path.startsWith("/") ? path : `${this.#request.home}/${path}`;
  }

  #waiting(): { waits?: Waits } {
    const { waits } = this.#context;
    return waits ? { waits } : {};
  }

  async #program(command: string): Promise<boolean> {
    const { lines, found } = this.#context;
    const { home } = this.#request;
    this.#copy ??= await copyForPrograms(this.#message);
    const { output, ...outcome } = await deliverProgram(command, {
      home,
      env: this.#context.env,
      variables: deliveryEnvironment(this.#request, lines, found),
      message: this.#copy,
    });
    this.#output += output;
    if ("failure" in outcome) throw outcome.failure;
    return outcome.more;
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
      throw temporary(`Unable to forward message: ${queueFailure(QQ.readError).text}.\n`);
    }
    const result = await queued.close(this.#context.found.newSender, this.#forwards);
    if (result.ok) return result.qp;
    const text = `Unable to forward message: ${result.text}.\n`;
    throw new DeliveryFailure(result.permanent ? "D" : "Z", text);
  }
}

/** The failure of a file that may only forward and has a delivery of another kind. */
export function notForwarding(kind: DeliveryStep["kind"]): DeliveryFailure {
  const what = kind === "program" ? "prog" : kind;
  return temporary(`Uh-oh: .qmail has ${what} delivery but has x bit set. (#4.7.0)\n`);
}
