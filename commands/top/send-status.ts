/** How qmail-send itself says that things stand: what only it knows, as what is held and which domains have enough. */

import { setTimeout as sleep } from "node:timers/promises";
import { ActionClient } from "../../qmail/send/action-client.ts";
import type { Status } from "../../qmail/send/action-protocol.ts";

/** One that does not answer, as while it is paused, must not keep us. */
const PATIENCE_MS = 300;
/** Who is not there is asked again after this time. */
const AGAIN_MS = 5000;

export class SendStatus {
  readonly #home: string;
  #client: ActionClient | null = null;
  #next = 0;
  #asked: Promise<void> | null = null;
  /** Its last answer; null when it gives none. */
  status: Status | null = null;

  constructor(home: string) {
    this.#home = home;
  }

  /** Asks again; resolves when `status` is as new as it gets in a moment. */
  async ask(now: number): Promise<void> {
    if (this.#asked === null) {
      if (now < this.#next) return;
      this.#asked = this.#ask(now).finally(() => {
        this.#asked = null;
      });
    }
    const late = sleep(PATIENCE_MS, true, { ref: false });
    if (await Promise.race([this.#asked, late])) this.status = null;
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #ask(now: number): Promise<void> {
    try {
      this.#client ??= await ActionClient.connect(this.#home);
      this.status = (await this.#client?.status()) ?? null;
    } catch {
      // It has left, or is not for us to ask.
      this.close();
      this.status = null;
    }
    if (this.status === null) this.#next = now + AGAIN_MS;
  }
}
