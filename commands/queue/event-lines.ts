/** An event of the queue as a line to read, and as a document. */

import kleur from "kleur";
import { gist, readable } from "../log/reason.ts";
import { fit, printable } from "../printable.ts";
import { brief, clock } from "../time.ts";
import type { EventName, QueueEvent } from "./events.ts";

const PAINT: Readonly<Record<EventName, (text: string) => string>> = {
  new: kleur.bold,
  try: kleur.dim,
  delivered: kleur.green,
  deferred: kleur.yellow,
  failed: kleur.red,
  bounce: kleur.red,
  left: kleur.dim,
  action: kleur.magenta,
};

/** The line: when, which message, what has happened, to whom, what was said. */
export function eventLine(event: QueueEvent): string {
  const { time, name, message } = event;
  const id = kleur.cyan(fit(message.id, Math.max(9, message.id.length), "right"));
  const what = PAINT[name](fit(name, 9));
  return `${kleur.dim(`${clock(time)}.${String(Math.floor(time) % 1000).padStart(3, "0")}`)}  ${id}  ${what}  ${details(event)}`.trimEnd();
}

function details({ name, message, recipient, seconds, text }: QueueEvent): string {
  switch (name) {
    case "new":
      return `from <${printable(message.sender ?? "?")}>, ${message.size} bytes`;
    case "bounce":
      return `to <${printable(message.sender ?? "?")}>: ${text}`;
    case "action":
      return printable(recipient ? `${recipient.address}: ${text}` : text);
    case "left":
      return [
        seconds === null ? "" : `after ${brief(seconds * 1000)}: `,
        [
          `${message.delivered} delivered`,
          ...(message.failed > 0 ? [`${message.failed} failed`] : []),
          ...(message.deferred > 0 ? [`deferred ${message.deferred} times`] : []),
        ].join(", "),
      ].join("");
    default: {
      const to = printable(recipient?.address ?? "");
      if (name === "try") return `${recipient?.channel} ${to}`;
      return `${to} (${brief((seconds ?? 0) * 1000)}): ${printable(gist(readable(text)))}`;
    }
  }
}

/** One document; what is not known is null. */
export function eventJson({ time, name, message, recipient, seconds, text }: QueueEvent) {
  return {
    time: new Date(time).toISOString(),
    event: name,
    id: message.id,
    sender: message.sender === null ? null : decoded(message.sender),
    size: message.size,
    channel: recipient?.channel ?? null,
    recipient: recipient && decoded(recipient.address),
    seconds,
    text: decoded(text),
    delivered: message.delivered,
    deferred: message.deferred,
    failed: message.failed,
  };
}

function decoded(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}
