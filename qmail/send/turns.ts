/** When qmail-send looks at everything again: soon after something has come, or when the clock says so. */

/** setTimeout cannot wait longer; a turn then finds nothing to do and waits again. */
const SLEEP_FOREVER = 86_400;

export class Turns {
  readonly #turn: () => void;
  #asked = false;
  #timer: NodeJS.Timeout | null = null;

  /** `turn` is never called from within a call of ours. */
  constructor(turn: () => void) {
    this.#turn = turn;
  }

  /** A turn when everything that came together with this is noted. */
  ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    setImmediate(() => {
      this.#asked = false;
      this.#turn();
    });
  }

  /** A turn in so many seconds, one at least, in place of the last that was told so. */
  askIn(seconds: number): void {
    this.stop();
    const ms = Math.min(Math.max(seconds, 1), SLEEP_FOREVER) * 1000;
    this.#timer = setTimeout(() => this.ask(), ms);
  }

  /** The clock asks for no more. */
  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
