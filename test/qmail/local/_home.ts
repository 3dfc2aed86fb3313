/** A user's home and the deliveries into it, with a queue that remembers what is forwarded. */

import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GroupSync } from "../../../qmail/files/groupsync.ts";
import { deliverLocal } from "../../../qmail/local/local.ts";
import { Maildirs } from "../../../qmail/local/maildir.ts";
import { Mboxes, type MboxesOptions, type Waits } from "../../../qmail/local/mbox.ts";
import { type QueueDoor, queueFailure } from "../../../qmail/queue/qmail.ts";
import { bufferMessage, type Message } from "../../../qmail/spawn/message.ts";
import { thisMachine } from "../../../qmail/supervise/machine.ts";

interface Forward {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly text: string;
}

export class Home implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-home-"));
  readonly forwards: Forward[] = [];
  readonly mboxes: Mboxes;
  readonly #maildirs = new Maildirs(new GroupSync());
  queueCode = 0;

  constructor(options: Partial<MboxesOptions> = {}) {
    this.mboxes = new Mboxes({ machine: thisMachine(), ...options });
  }

  write(name: string, text: string, mode = 0o644): void {
    writeFileSync(join(this.path, name), text);
    chmodSync(join(this.path, name), mode);
  }

  maildir(name: string): void {
    for (const sub of ["new", "cur", "tmp"]) {
      mkdirSync(join(this.path, name, sub), { recursive: true });
    }
  }

  remove(name: string): void {
    rmSync(join(this.path, name));
  }

  /** Makes a file so many seconds old. */
  age(name: string, seconds: number): void {
    const then = Date.now() / 1000 - seconds;
    utimesSync(join(this.path, name), then, then);
  }

  /** Texts in a Maildir's new/. */
  new(name: string): string[] {
    const directory = join(this.path, name, "new");
    return readdirSync(directory).map((file) => readFileSync(join(directory, file), "latin1"));
  }

  deliver(
    options: {
      dash?: string;
      ext?: string;
      sender?: string;
      text?: string;
      aliasempty?: string;
      message?: Message;
      /** Another's than this one. */
      home?: string;
      progress?: string;
      waits?: Waits;
    } = {},
  ) {
    const { dash = "", ext = "", sender = "a@b", aliasempty = "./Maildir/" } = options;
    const text = options.text ?? "Subject: x\n\nbody\n";
    const local = `joe${dash}${ext}`;
    const request = {
      user: "joe",
      home: options.home ?? this.path,
      local,
      dash,
      ext,
      host: "h.test",
      sender,
      aliasempty,
    };
    const context = {
      queue: this.#queue(),
      maildirs: this.#maildirs,
      mboxes: this.mboxes,
      env: { PATH: process.env.PATH },
      now: () => 0,
      ...(options.progress !== undefined && { progress: options.progress }),
      ...(options.waits && { waits: options.waits }),
    };
    const message = options.message ?? bufferMessage(Buffer.from(text, "latin1"));
    return deliverLocal(request, message, context);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #queue(): QueueDoor {
    return {
      open: () => {
        let text = "";
        return {
          full: false,
          put: (bytes: Buffer) => {
            text += bytes.toString("latin1");
          },
          drained: () => Promise.resolve(),
          abort: () => {},
          close: (sender: string, recipients: readonly string[]) => {
            if (this.queueCode) return Promise.resolve(queueFailure(this.queueCode));
            this.forwards.push({ sender, recipients, text });
            return Promise.resolve({ ok: true as const, qp: 77 });
          },
        };
      },
    };
  }
}
