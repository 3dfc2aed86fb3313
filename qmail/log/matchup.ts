/**
 * matchup: qmail-send's log from standard input, each delivery and message put together on one line,
 * in the format of qmailanalog's matchup(1), whose z-programs read it:
 *
 *   m birth done bytes successes failures deferrals <sender> qp uid
 *   d result birth dstart ddone bytes <sender> channel.recipient qp uid reason
 *
 * What is still open at the end goes to descriptor 5, in a form to be read before the next log.
 */

import { once } from "node:events";
import { createWriteStream, fstatSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { EXIT } from "../exit.ts";
import { STAMP_LENGTH } from "../multilog/tai64n.ts";
import { type Outcome, parseLogLine } from "../send/log.ts";
import { plainLine } from "./indimail.ts";

interface Message {
  readonly birth: string;
  readonly bytes: number;
  readonly sender: string;
  readonly qp: number;
  readonly uid: number;
  k: number;
  z: number;
  d: number;
}

interface Delivery {
  readonly message: string;
  readonly recipient: string;
  readonly start: string;
}

const LETTERS = { success: "k", deferral: "z", failure: "d" } as const;
const PENDING_FD = 5;

export class Matchup {
  readonly #messages = new Map<string, Message>();
  readonly #deliveries = new Map<number, Delivery>();

  /** What one line, without its newline, adds to the output; empty for most. */
  line(line: string): string {
    const { time, text: written } = splitStamp(line);
    const text = plainLine(written) ?? written;
    const extra = /^extra (\d+) (\d+) (\d+) (\d+)$/.exec(text);
    if (extra) return this.#extra(extra);
    const mangled = /^delivery (\d+): report mangled, will defer$/.exec(text);
    if (mangled) return this.#finish(Number(mangled[1]), time, "deferral", "report_mangled");
    const parsed = parseLogLine(text);
    switch (parsed.type) {
      case "new":
        this.#messages.delete(parsed.id);
        return "";
      case "info": {
        const { bytes, qp, uid, sender } = parsed;
        const from = `<${sender.toLowerCase()}>`;
        this.#messages.set(parsed.id, {
          birth: time,
          bytes,
          sender: from,
          qp,
          uid,
          k: 0,
          z: 0,
          d: 0,
        });
        return "";
      }
      case "starting": {
        const recipient = `${parsed.channel}.${parsed.recipient.toLowerCase()}`;
        this.#deliveries.set(parsed.delivery, { message: parsed.id, recipient, start: time });
        return "";
      }
      case "delivery":
        return this.#finish(parsed.delivery, time, parsed.outcome, parsed.text);
      case "end":
        return this.#end(parsed.id, time);
      case "exiting":
        this.#deliveries.clear();
        return "";
      case "status":
        return "";
      default:
        return /^(warning|alert): /.test(text) ? `${line}\n` : `? ${line}\n`;
    }
  }

  /** What is open, as lines to be read before the next log. */
  pending(): string {
    let text = "";
    for (const [id, { birth, bytes, sender, qp, uid, k, z, d }] of this.#messages) {
      text += `${birth} info msg ${id}: bytes ${bytes} from ${sender} qp ${qp} uid ${uid}\n`;
      text += `${birth} extra ${id} ${k} ${z} ${d}\n`;
    }
    for (const [number, { message, recipient, start }] of this.#deliveries) {
      const to = recipient.replace(".", " ");
      text += `${start} starting delivery ${number}: msg ${message} to ${to}\n`;
    }
    return text;
  }

  #extra([, id = "", k, z, d]: RegExpExecArray): string {
    const message = this.#messages.get(id);
    if (message) Object.assign(message, { k: Number(k), z: Number(z), d: Number(d) });
    return "";
  }

  #finish(number: number, time: string, outcome: Outcome, reason: string): string {
    const delivery = this.#deliveries.get(number);
    if (!delivery) return "";
    this.#deliveries.delete(number);
    const { recipient, start } = delivery;
    const letter = LETTERS[outcome];
    const message = this.#messages.get(delivery.message);
    if (!message) return `d ${letter} ${start} ${start} ${time} 0 ? ${recipient} ? ? ${reason}\n`;
    message[letter]++;
    const { birth, bytes, sender, qp, uid } = message;
    return `d ${letter} ${birth} ${start} ${time} ${bytes} ${sender} ${recipient} ${qp} ${uid} ${reason}\n`;
  }

  #end(id: string, time: string): string {
    const message = this.#messages.get(id);
    if (!message) return "";
    this.#messages.delete(id);
    const { birth, bytes, k, d, z, sender, qp, uid } = message;
    return `m ${birth} ${time} ${bytes} ${k} ${d} ${z} ${sender} ${qp} ${uid}\n`;
  }
}

/** Stamp and text; a TAI64N stamp becomes seconds with a fraction, which the z-programs count with. */
function splitStamp(line: string): { time: string; text: string } {
  const tai = /^@4000000([0-9a-f]{9})([0-9a-f]{8}) /.exec(line);
  if (tai) {
    const seconds = Number.parseInt(tai[1] as string, 16) - 10;
    const nanoseconds = Number.parseInt(tai[2] as string, 16);
    return {
      time: `${seconds}.${String(nanoseconds).padStart(9, "0")}`,
      text: line.slice(STAMP_LENGTH + 1),
    };
  }
  const space = line.indexOf(" ");
  return { time: line.slice(0, space), text: line.slice(space + 1) };
}

async function main(): Promise<void> {
  const matchup = new Matchup();
  const output = createWriteStream("", { fd: 1 });
  process.stdin.setEncoding("latin1");
  for await (const line of createInterface({ input: process.stdin })) {
    const text = matchup.line(line);
    if (text !== "" && !output.write(text, "latin1")) {
      await once(output, "drain");
    }
  }
  const bytes = Buffer.from(matchup.pending(), "latin1");
  if (isOpen(PENDING_FD)) {
    for (let at = 0; at < bytes.length; ) at += writeSync(PENDING_FD, bytes, at);
  }
}

/** Node itself uses descriptor 5 when nobody gave one: only a file or pipe is meant for us. */
function isOpen(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFile() || stat.isFIFO() || stat.isCharacterDevice();
  } catch {
    return false;
  }
}

if (import.meta.main) {
  process.title = "matchup";
  try {
    await main();
  } catch (error) {
    process.stderr.write(`matchup: fatal: ${(error as Error).message}\n`);
    process.exitCode = EXIT.soft;
  }
}
