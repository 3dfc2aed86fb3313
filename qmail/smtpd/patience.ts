/**
 * How long one session waits for its client: for a command, for a message by the bytes that come, and in all. Time
 * stands still while it is our turn. Knows no timer: it tells the wire.
 */

import type { Wire } from "../net/connection.ts";
import type { SessionContext } from "./session-context.ts";

/** What an error costs when there have been some. */
const ERROR_MS = 1000;

export class Patience {
  readonly #context: Pick<SessionContext, "limits" | "clock">;
  readonly #wire: Pick<Wire, "allow" | "extend">;
  readonly #began: number;
  /** Something whole was said: the time for the next begins. */
  #fresh = true;
  /** The client is not waited for. */
  #paused = false;
  /** The time of a message runs: more of it comes by what is sent. */
  #inMessage = false;
  /** Milliseconds of the session. */
  #left = 1;

  constructor(
    context: Pick<SessionContext, "limits" | "clock">,
    wire: Pick<Wire, "allow" | "extend">,
  ) {
    this.#context = context;
    this.#wire = wire;
    this.#began = context.clock();
  }

  /** Since the session began. */
  get seconds(): number {
    return (this.#context.clock() - this.#began) / 1000;
  }

  /** True when the session had lasted too long when its turn last changed: to look at the clock for each command costs more than it. */
  get over(): boolean {
    return this.#left <= 0;
  }

  /** Whether it has lasted too long by now. */
  look(): boolean {
    const { limits, clock } = this.#context;
    this.#left = this.#began + limits().sessionMs - clock();
    return this.over;
  }

  /** The next command has a time of its own; the parts of a message have one together. */
  renew(): void {
    this.#fresh = true;
  }

  /** So much has come. A message that comes too slowly would take a place for days. */
  earn(bytes: number): void {
    if (!this.#inMessage) return;
    const { commandMs, minRate } = this.#context.limits();
    this.#wire.extend((bytes / minRate) * 1000, commandMs);
  }

  /** An error costs time, after which the wire says that it is up. */
  slow(): void {
    this.#paused = true;
    this.#wire.allow(ERROR_MS);
  }

  /** It is our turn. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#wire.allow(Number.POSITIVE_INFINITY);
  }

  /** It is the client's turn; `inMessage` between the beginning and the end of a message. */
  await(inMessage: boolean): void {
    const anew = this.#paused || (inMessage ? !this.#inMessage : this.#fresh);
    this.#inMessage = inMessage;
    this.#paused = false;
    this.#fresh = false;
    if (!anew) return;
    this.look();
    const { commandMs } = this.#context.limits();
    this.#wire.allow(inMessage ? commandMs : Math.max(1, Math.min(commandMs, this.#left)));
  }
}
