/**
 * Which files are one message's. Pure.
 *
 * As a rule those with one name. But in a queue of two splits, or two queues poured into one, a name may be
 * there twice; then the files of one numbered directory belong together. Where even that leaves a doubt nothing is
 * guessed: an envelope must never meet another message.
 */

import { fmtqfn, type MessId } from "../fmtqfn.ts";
import type { Kind, QueueFile, Survey } from "./survey.ts";

type Parts = Readonly<Partial<Record<Kind, QueueFile>>>;

export interface Message {
  /** Its right name: the inode number of its mess file. */
  readonly id: MessId;
  readonly mess: QueueFile;
  readonly parts: Parts;
}

export interface Messages {
  readonly messages: readonly Message[];
  /** Files with a message's name without a mess file of it. */
  readonly orphans: readonly QueueFile[];
  /** A second file for one purpose, as a second info of a message. */
  readonly doubles: readonly QueueFile[];
  /** All files of a name, where it cannot be said which belong together. */
  readonly mixed: readonly (readonly QueueFile[])[];
}

const SPLIT_KINDS: ReadonlySet<Kind> = new Set(["mess", "info", "local", "remote"]);

/** Where `file` of the message `id` belongs. */
export function placeOf(kind: Kind, id: MessId): string {
  return `queue/${fmtqfn(kind, id)}`;
}

/** Every file of `message`; the mess file last. */
export function filesOf({ mess, parts }: Message): QueueFile[] {
  return [...Object.values(parts), mess];
}

/** True when a file of `message` does not lie where it belongs. */
export function isMisplaced(message: Message): boolean {
  return filesOf(message).some(({ kind, path }) => path !== placeOf(kind, message.id));
}

/** Puts the files of a survey together. */
export function collect({ files, unfinished }: Survey): Messages {
  const found = new Collector();
  for (const [, named] of groupBy(files, ({ name }) => name)) found.add(named);
  found.addCollected(unfinished?.files ?? []);
  return found.result();
}

class Collector {
  readonly #messages = new Map<MessId, Message>();
  readonly #orphans: QueueFile[] = [];
  readonly #doubles: QueueFile[] = [];
  readonly #mixed: QueueFile[][] = [];

  /** Adds all files of one name. */
  add(files: readonly QueueFile[]): void {
    const messes = files.filter(({ kind }) => kind === "mess");
    const rest = files.filter(({ kind }) => kind !== "mess");
    const [mess] = messes;
    if (mess === undefined) this.#orphans.push(...rest);
    else if (messes.length === 1) this.#single(mess, rest);
    else this.#several(messes, rest);
  }

  /** What a repair has collected has its right name already. */
  addCollected(files: readonly QueueFile[]): void {
    for (const file of files) if (file.kind === "mess") this.#message(file, []);
    for (const file of files) {
      if (file.kind === "mess") continue;
      const message = this.#messages.get(file.name);
      if (!message) this.#orphans.push(file);
      else if (message.parts[file.kind]) this.#doubles.push(file);
      else this.#set({ ...message, parts: { ...message.parts, [file.kind]: file } });
    }
  }

  result(): Messages {
    return {
      messages: [...this.#messages.values()],
      orphans: this.#orphans,
      doubles: this.#doubles,
      mixed: this.#mixed,
    };
  }

  #message(mess: QueueFile, parts: readonly QueueFile[]): void {
    const message = {
      id: mess.ino,
      mess,
      parts: Object.fromEntries(parts.map((file) => [file.kind, file])) as Parts,
    };
    // A second name of one mess file: the right one counts.
    const known = this.#messages.get(mess.ino);
    const better = !known || mess.path === placeOf("mess", mess.ino);
    if (better) this.#set(message);
    const worse = better ? known : message;
    if (worse) this.#doubles.push(...filesOf(worse));
  }

  #set(message: Message): void {
    this.#messages.set(message.id, message);
  }

  /** The part beside the mess file counts before one elsewhere, and one in its right place before the others. */
  #single(mess: QueueFile, rest: readonly QueueFile[]): void {
    const parts: QueueFile[] = [];
    for (const [, same] of groupBy(rest, ({ kind }) => kind)) {
      const best =
        same.find(({ sub }) => sub === mess.sub) ??
        same.find(({ kind, name, path }) => path === placeOf(kind, name)) ??
        (same[0] as QueueFile);
      parts.push(best);
      this.#doubles.push(...same.filter((file) => file !== best));
    }
    this.#message(mess, parts);
  }

  #several(messes: readonly QueueFile[], rest: readonly QueueFile[]): void {
    const bySub = new Map(messes.map(({ sub }) => [sub, [] as QueueFile[]]));
    // That todo/1 and mess/1 lie beside each other says nothing: todo is not split.
    const isClear = ({ kind, sub }: QueueFile) => sub !== "" || SPLIT_KINDS.has(kind);
    const clear = rest.every((file) => isClear(file) && bySub.get(file.sub)?.push(file));
    if (!clear) {
      this.#mixed.push([...rest, ...messes]);
      return;
    }
    for (const mess of messes) this.#message(mess, bySub.get(mess.sub) ?? []);
  }
}

function groupBy<K, T>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
