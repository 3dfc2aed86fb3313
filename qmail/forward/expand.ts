/** What becomes of a message by a forwarding table (fastforward(1), setforward(1)). Pure but for what `tables` reads. */

import { lowerAscii } from "../control/constmap.ts";
import { isBounce } from "../local/dotqmail.ts";
import { commandsIn } from "./table.ts";

/** Where instructions are read from. */
export interface Tables {
  /** The data of the record `key`; null when there is none. */
  get(key: string): string | null;
  /** The commands in the binary mailing list `file`. */
  list(file: string): readonly string[];
}

/** What is to be done; strings are byte strings. */
export interface Plan {
  /** Each with its first character: `|` as it is, `!` behind preline. In their order. */
  readonly programs: readonly string[];
  readonly recipients: readonly string[];
  /** The owner that gets the bounces; null: who sent the message. */
  readonly owner: string | null;
}

/** The plan for a message from `sender` to `recipient`; null when the table does not know the recipient. */
export function expand(recipient: string, sender: string | null, tables: Tables): Plan | null {
  const data = wildLookup(":", recipient, tables);
  if (data === null) return null;
  const expansion = new Expansion(tables, recipient);
  expansion.commands(commandsIn(data));
  const { programs, recipients } = expansion;
  const owner = sender !== null && isBounce(sender) ? null : wildLookup("?", recipient, tables);
  return { programs, recipients, owner };
}

/** For the incoming address alone: itself, everybody at its host, itself at any host. */
function wildLookup(prefix: string, address: string, { get }: Tables): string | null {
  const key = lowerAscii(address);
  const at = key.lastIndexOf("@");
  const exact = get(prefix + key);
  if (exact !== null || at < 0) return exact;
  return get(prefix + key.slice(at)) ?? get(prefix + key.slice(0, at + 1));
}

class Expansion {
  readonly programs: string[] = [];
  readonly recipients: string[] = [];
  readonly #tables: Tables;
  /** Commands and targets that were obeyed: each counts once, so no table leads round in circles. */
  readonly #seen = new Set<string>();

  constructor(tables: Tables, recipient: string) {
    this.#tables = tables;
    this.#seen.add(`:${lowerAscii(recipient)}`);
  }

  /** Obeys `commands` and what they lead to, depth first. No recursion: a table may be deep. */
  commands(commands: readonly string[]): void {
    const stack = [commands.values()];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.next();
      if (next.done) stack.pop();
      else stack.push(this.#obey(next.value).values());
    }
  }

  /** The commands that `command` leads to. */
  #obey(command: string): readonly string[] {
    switch (command[0]) {
      case "|":
      case "!":
        this.programs.push(command);
        return [];
      case ".":
      case "/":
        return this.#isNew(command) ? this.#tables.list(command).filter(isListed) : [];
      case "&":
        return this.#isNew(command) ? this.#address(command.slice(1)) : [];
      default:
        return [];
    }
  }

  #isNew(command: string): boolean {
    if (this.#seen.has(command)) return false;
    this.#seen.add(command);
    return true;
  }

  #address(address: string): readonly string[] {
    const key = lowerAscii(address);
    // A target with an owner is reached by mail, so that its messages have its owner as their sender.
    const data = this.#tables.get(`?${key}`) === null ? this.#tables.get(`:${key}`) : null;
    if (data !== null) return this.#isNew(`:${key}`) ? commandsIn(data) : [];
    this.recipients.push(address);
    return [];
  }
}

/** A list belongs to somebody else: it may name addresses and lists, and no program. */
function isListed(command: string): boolean {
  return /^[&./]/.test(command);
}
