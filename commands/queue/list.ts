/** `qmailctl queue list`: every message in the queue, with who waits for it. */

import { exceeds, type QueuedMessage, type QueuedRecipient } from "../../qmail/queue/queue-read.ts";
import type { Output } from "../output.ts";
import { duration } from "../time.ts";
import { closed, selectMessages } from "./select.ts";
import type { Selection } from "./selection.ts";

/** So many messages are sorted by age. Of more, nobody reads all: they come as they lie, in blocks, the first one soon. */
const SORTED = 5000;
const FIRST = 200;
const BLOCK = 5000;

export interface ListOptions {
  readonly home: string;
  readonly selection: Selection;
  readonly output: Output;
}

/** Shows the queue of the mail server in `home`. */
export async function queueList({ home, selection, output }: ListOptions): Promise<void> {
  const messages = selectMessages(home, selection, { now: Date.now() });
  try {
    const blocks = inBlocks(home, messages);
    output.dataList(flat(blocks));
    if (output.json) return;
    let empty = true;
    for (const block of blocks) {
      print(block, output);
      empty = false;
    }
    if (empty) output.line("The queue is empty.");
  } catch (error) {
    throw closed(error);
  }
}

function* inBlocks(home: string, messages: Iterable<QueuedMessage>): Generator<QueuedMessage[]> {
  const sorted = !exceeds(`${home}/queue`, SORTED);
  let block: QueuedMessage[] = [];
  let size = sorted ? Number.POSITIVE_INFINITY : FIRST;
  for (const message of messages) {
    block.push(message);
    if (block.length < size) continue;
    yield block;
    block = [];
    size = BLOCK;
  }
  if (sorted) block.sort((a, b) => a.birth - b.birth);
  if (block.length > 0) yield block;
}

function* flat(blocks: Iterable<readonly QueuedMessage[]>) {
  for (const block of blocks) yield* block.map(toJson);
}

function toJson(message: QueuedMessage) {
  const { id, size, birth, sender, state, bouncing, recipients } = message;
  return { id, size, birth: new Date(birth).toISOString(), sender, state, bouncing, recipients };
}

function print(messages: readonly QueuedMessage[], output: Output): void {
  const now = Date.now();
  output.table(
    [
      { title: "id" },
      { title: "age", align: "right" },
      { title: "size", align: "right" },
      { title: "from" },
      { title: "to" },
      { title: "state" },
    ],
    messages.flatMap((message) => {
      const { id, size, birth, sender, recipients } = message;
      const age = duration(Math.max(0, Math.floor((now - birth) / 1000)));
      const first = [id, age, String(size), `<${sender}>`];
      return (recipients.length > 0 ? recipients : [null]).map((recipient, at) => [
        ...(at === 0 ? first : ["", "", "", ""]),
        recipient?.address ?? "",
        state(message, recipient),
      ]);
    }),
  );
}

function state(message: QueuedMessage, recipient: QueuedRecipient | null): string {
  if (message.state === "todo") return "new";
  if (!recipient) return message.bouncing ? "bouncing" : "done";
  return `${recipient.channel}, ${recipient.done ? "done" : "waiting"}`;
}
