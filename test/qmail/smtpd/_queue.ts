/** A queue that keeps what is put in, for tests of who puts it in. */

import { type Qmail, type QueueDoor, queueFailure } from "../../../qmail/queue/qmail.ts";

export interface Message {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** With its Received line, as a byte string. */
  readonly text: string;
}

export class FakeQueue implements QueueDoor {
  readonly messages: Message[] = [];
  /** qmail-queue's exit code; 0 takes the message. */
  exitCode = 0;
  /** Messages begun and not given up or closed. */
  underWay = 0;

  open(): Qmail {
    let text = "";
    this.underWay++;
    return {
      full: false,
      put: (bytes) => {
        text += bytes.toString("latin1");
      },
      drained: () => Promise.resolve(),
      abort: () => {
        this.underWay--;
      },
      close: async (sender, recipients) => {
        this.underWay--;
        // As the real one: the answer comes in a later turn.
        await new Promise(setImmediate);
        if (this.exitCode !== 0) return queueFailure(this.exitCode);
        this.messages.push({ sender, recipients, text });
        return { ok: true, qp: 42 };
      },
    };
  }
}
