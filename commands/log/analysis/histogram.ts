/** Distributions of delays, in bounded memory: 1 % exact from 10 ms up, to the hundredth below 1 s. */

const LINEAR = 100;
const GROWTH = Math.log(1.01);
/** Buckets up to 10^7 s. */
const SIZE = LINEAR + Math.ceil(Math.log(1e7) / GROWTH) + 2;

export interface Share {
  /** Percent of all values. */
  readonly percent: number;
  /** Seconds within which they are. */
  readonly doneBy: number;
  /** Their mean. */
  readonly average: number;
}

export class DelayHistogram {
  count = 0;
  sum = 0;
  max = 0;
  readonly #counts = new Float64Array(SIZE);
  readonly #sums = new Float64Array(SIZE);

  /** Takes in a delay of `seconds`; one below 0, from a clock set back, as 0. */
  add(seconds: number): void {
    const value = Math.max(0, seconds);
    const bucket =
      value < 1
        ? Math.floor(value * LINEAR)
        : Math.min(SIZE - 1, LINEAR + Math.floor(Math.log(value) / GROWTH));
    this.count++;
    this.sum += value;
    if (value > this.max) this.max = value;
    (this.#counts[bucket] as number)++;
    this.#sums[bucket] = (this.#sums[bucket] as number) + value;
  }

  /** Within how much time each of `percents` (rising) of the values were. */
  shares(percents: readonly number[]): Share[] {
    const found: Share[] = [];
    let count = 0;
    let sum = 0;
    let next = 0;
    for (let bucket = 0; bucket < SIZE && next < percents.length; bucket++) {
      count += this.#counts[bucket] as number;
      sum += this.#sums[bucket] as number;
      while (next < percents.length && count * 100 >= (percents[next] as number) * this.count) {
        if (this.count === 0) return found;
        const doneBy = Math.min(upper(bucket), this.max);
        found.push({ percent: percents[next++] as number, doneBy, average: sum / count });
      }
    }
    return found;
  }

  /** For every whole percentage that some delay completes, the least that does, as ddist has them. */
  steps(): Share[] {
    const found: Share[] = [];
    let count = 0;
    let sum = 0;
    for (let bucket = 0; bucket < SIZE; bucket++) {
      if (this.#counts[bucket] === 0) continue;
      count += this.#counts[bucket] as number;
      sum += this.#sums[bucket] as number;
      const percent = Math.floor((count * 100) / this.count);
      const average = sum / count;
      const last = found.at(-1);
      // The average is of all that complete this percentage.
      if (last?.percent === percent) found[found.length - 1] = { ...last, average };
      else found.push({ percent, doneBy: Math.min(upper(bucket), this.max), average });
    }
    return found;
  }
}

function upper(bucket: number): number {
  return bucket < LINEAR ? (bucket + 1) / LINEAR : Math.exp((bucket - LINEAR + 1) * GROWTH);
}
